import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SignedDomains } from '../../../../src/delivery/signing/signed-domains.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

const DAY_MS = 86_400_000;

describe('mails that wait for a DKIM key which nobody puts back', () => {
  let t: PostOffice;
  beforeEach(async () => {
    t = await openPostOffice();
    await t.app.get(SignedDomains, { strict: false }).noteSigned(['example.com']);
  });
  afterEach(async () => t.close());

  const look = async (): Promise<void> => {
    await t.app.get(JobRunner, { strict: false }).run('delivery.expire-stale');
  };
  /** Refused now, and as by workers that ask every five minutes: `tries` of them, the first one so many days ago. */
  const waits = async (days: number, tries: number): Promise<void> => {
    await t.sendDue();
    await pass(days);
    await t.db.query(
      `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
       select a.message_id, a.epoch + g, a.started_at + g * interval '5 minutes', a.started_at + g * interval '5 minutes', 'signing', 'ready'
       from message_attempt a, generate_series(1, $1::int - 1) g`,
      [tries],
    );
    await t.db.query('update message set lease_epoch = lease_epoch + $1', [tries]);
  };
  /** On both clocks. */
  const pass = async (days: number): Promise<void> => {
    t.clock.advance(days * DAY_MS);
    await t.db.query(`update message_attempt set started_at = started_at - $1 * interval '1 day'`, [days]);
  };
  const states = async (...ids: string[]): Promise<unknown[]> =>
    Promise.all(ids.map(async (id) => (await t.state(id)).state));
  const alertKeys = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).map(({ key }) => key).toSorted();

  it('end after five days, receipts after seven, and the owner is told for a week', async () => {
    const news = await t.plan('news@example.org');
    const receipt = await t.plan('receipt@example.org', { class: 'transactional', kind: 'receipt' });
    await waits(4.9, 1_400);
    await look();
    expect(await states(news, receipt)).toEqual(['ready', 'ready']);
    const young = await t.plan('young@example.org');
    await pass(0.2);
    await look();
    expect(await states(news, receipt, young)).toEqual(['expired', 'ready', 'ready']);
    expect(await t.state(news)).toMatchObject({
      reason: 'the key that signs it was missing or bad for 5 days',
    });
    expect(await alertKeys()).toEqual(['dkim:example.com', 'signing:stale']);
    t.clock.advance(8 * DAY_MS);
    await look();
    expect(await alertKeys()).toEqual(['dkim:example.com']);
  });

  it('wait on when the machine was off for days: a mail that was hardly tried did not wait for its key', async () => {
    const news = await t.plan('news@example.org');
    await waits(6, 20);
    await look();
    expect(await states(news)).toEqual(['ready']);
  });

  it('wait on when the key was bad for a day and the machine off for the others', async () => {
    const news = await t.plan('news@example.org');
    await waits(6, 288);
    await look();
    expect(await states(news)).toEqual(['ready']);
  });

  it('wait on where the owner has paused them', async () => {
    const paused = await t.plan('paused@example.org');
    await waits(6, 1_700);
    await t.db.query(
      `insert into sequence_pause (funnel_key, reason, paused_at) values ('niche-ebook', 'by the owner', now())`,
    );
    await look();
    expect(await states(paused)).toEqual(['ready']);
  });

  it('go out when the key is back before that', async () => {
    const news = await t.plan('news@example.org');
    await waits(4, 1_100);
    await look();
    await t.app.get(SignedDomains, { strict: false }).forget('example.com');
    expect(await t.sendDue()).toBe(1);
    expect(await states(news)).toEqual(['accepted']);
  });
});
