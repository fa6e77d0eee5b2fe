import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BroadcastDraft } from '../../../src/broadcasts/broadcast.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { openDesk, type Desk } from './desk.js';

describe('a broadcast that nobody would get', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk?.t.close());
  afterEach(async () => desk.clear());

  const found = async (change: Partial<BroadcastDraft> = {}): Promise<string[]> => {
    const { id } = await desk.broadcasts.create(desk.draft(change));
    const { findings } = await desk.broadcasts.check(id);
    return findings.flatMap(({ level, message }) =>
      message.startsWith('nobody would get it') ? [`${level}: ${message}`] : [],
    );
  };
  const somebody = async (status: string, count = 1): Promise<void> => {
    for (let n = 0; n < count; n++) await desk.t.subscriber(`${status}${n}@example.com`, { status });
  };
  const suppress = async (emailKey: string): Promise<void> => {
    const entry = { emailKey, scope: 'marketing', reason: 'manual', source: 'the test' } as const;
    await desk.t.app.get(SuppressionsService, { strict: false }).add(desk.t.db.manager, entry);
  };

  it('is said to go to nobody, as an import without consent has left all pending: it was done without a word', async () => {
    await somebody('pending', 3);
    await somebody('unsubscribed');
    expect(await found()).toEqual([
      'warn: nobody would get it now: of those it is for, 3 people are pending, as an import without consent leaves them until they confirm, 1 person is not on the list any more',
    ]);
  });

  it('is said to, where all are suppressed or want a pause', async () => {
    await somebody('active', 2);
    await suppress('active0@example.com');
    expect(await found()).toEqual([]);
    await desk.t.db.query(
      `update subscriber set paused_until = now() + interval '9 days' where email = 'active1@example.com'`,
    );
    expect(await found()).toEqual([
      'warn: nobody would get it now: of those it is for, 1 person is on the suppression list, 1 person is in a pause that they asked for',
    ]);
  });

  it('counts those it is for alone', async () => {
    await somebody('pending', 2);
    await desk.tagged('vip@example.com', ['vip']);
    expect(await found({ audience: { tags: { any: ['vip'] } } })).toEqual([]);
    await desk.t.db.query(`update subscriber set status = 'bounced' where email = 'vip@example.com'`);
    expect(await found({ audience: { tags: { any: ['vip'] } } })).toEqual([
      'warn: nobody would get it now: of those it is for, 1 person is given up, as mails to them came back',
    ]);
    expect(await found({ audience: { tags: { any: ['nobody-has-it'] } } })).toEqual([
      'warn: nobody would get it now: nobody meets what it is for',
    ]);
  });
});
