import { setTimeout as tick } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BroadcastDraft } from '../../../src/broadcasts/broadcast.js';
import { BroadcastPlanner } from '../../../src/broadcasts/broadcast-planner.service.js';
import { BroadcastsQueries } from '../../../src/broadcasts/broadcasts.queries.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { HeldService } from '../../../src/delivery/waiting/held.service.js';
import { LOCKS } from '../../../src/infra/database/advisory-locks.js';
import { OPENED_AT, openPostOffice, SENDER, type PostOffice } from '../delivery/post-office.js';
import { untilWaiting, empty } from '../../support/database.js';

const FOREVER = { deadline: Infinity, signal: new AbortController().signal };

describe('a broadcast', () => {
  let t: PostOffice;
  let broadcasts: BroadcastsService;
  let planner: BroadcastPlanner;
  beforeAll(async () => {
    t = await openPostOffice();
    broadcasts = t.app.get(BroadcastsService, { strict: false });
    planner = t.app.get(BroadcastPlanner, { strict: false });
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    t.clock.set(OPENED_AT);
    t.sink.mails.length = 0;
    await empty(t.db, 'message, suppression, subscriber, broadcast, tag, topic_opt_out');
  });

  const draft = (change: Partial<BroadcastDraft> = {}): BroadcastDraft => ({
    title: 'News of March',
    template: 'emails/story',
    audience: { everybody: true },
    sender: SENDER,
    topic: null,
    expiresAt: null,
    ...change,
  });
  const started = async (change: Partial<BroadcastDraft> = {}): Promise<string> => {
    const { id } = await broadcasts.create(draft(change));
    await broadcasts.start(id, null);
    return id;
  };
  const people = async (count: number, status = 'active'): Promise<void> => {
    await t.db.query(
      `insert into subscriber (email, email_key, name, status, created_at, updated_at)
       select 'p' || g || '@example.com', 'p' || g || '@example.com', 'P' || g, $2, $3, $3 from generate_series(1, $1::int) g`,
      [count, status, t.clock.now()],
    );
  };
  const taken = (): string[] => t.sink.mails.flatMap(({ to }) => to).toSorted();
  const addresses = async (): Promise<string[]> => {
    const rows: { address: string }[] = await t.db.query('select address from message');
    return rows.map(({ address }) => address).toSorted();
  };
  const settle = async (id: string): Promise<void> => {
    for (let round = 0; round < 20 && !(await broadcasts.get(id)).complete; round++) {
      await planner.run(FOREVER);
      await t.sendDue();
    }
    await planner.run(FOREVER);
  };

  it('reaches every active subscriber once, and is done when no mail is open', async () => {
    await people(30);
    await t.subscriber('left@example.com', { status: 'unsubscribed' });
    const id = await started();
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({
      state: 'running',
      planned: 30,
      counts: { ready: 30 },
      complete: false,
    });
    expect(await t.sendDue()).toBe(30);
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({
      state: 'done',
      counts: { accepted: 30 },
      complete: true,
    });
    expect(new Set(taken()).size).toBe(30);
    const rows: unknown[] = await t.db.query(
      'select distinct kind, class, lane_key as lane, funnel_key as topic from message',
    );
    expect(rows).toEqual([
      { kind: 'broadcast', class: 'marketing', lane: 'example.com|other', topic: 'news' },
    ]);
  });

  it('starts once, however often and by how many it is clicked', { timeout: 120_000 }, async () => {
    await people(10);
    const { id } = await broadcasts.create(draft());
    await Promise.all(Array.from({ length: 200 }, async () => broadcasts.start(id, null)));
    await Promise.all([1, 2, 3].map(async () => planner.run(FOREVER)));
    await broadcasts.start(id, null);
    await settle(id);
    await broadcasts.start(id, new Date('2030-01-01T00:00:00Z'));
    await settle(id);
    expect(taken()).toHaveLength(10);
    expect(await broadcasts.get(id)).toMatchObject({ state: 'done', planned: 10 });
  });

  it.each([
    ['planned', 9_000, async () => undefined],
    ['planned and sent', 300, async () => t.sendDue()],
  ])('reaches each subscriber once through twenty pauses while it is %s', async (_, count, send) => {
    await people(count - 1);
    // Put off until all pauses are over: however fast the machine, the broadcast is not done before.
    await t.subscriber('last@slow.example');
    t.sink.onRecipient = async (address) => (address === 'last@slow.example' ? 451 : undefined);
    const id = await started();
    const stop = new AbortController();
    const work = (async () => {
      while (!stop.signal.aborted) {
        await planner.run({ deadline: Infinity, signal: stop.signal });
        await send();
        await tick(1);
      }
    })();
    try {
      for (let round = 0; round < 20; round++) {
        await broadcasts.pause(id);
        await broadcasts.resume(id);
        await tick(10);
      }
    } finally {
      stop.abort();
      await work;
      t.sink.onRecipient = async () => undefined;
    }
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({ planned: count });
    expect(new Set(await addresses()).size).toBe(count);
    if (count > 300) return;
    t.clock.set(new Date(OPENED_AT.getTime() + 3_600_000));
    await settle(id);
    expect(await broadcasts.get(id)).toMatchObject({ counts: { accepted: count }, complete: true });
    expect(taken()).toHaveLength(count);
    expect(new Set(taken()).size).toBe(count);
  });

  it('sends nothing while it is paused, and nothing any more once it is cancelled', async () => {
    await people(20);
    const id = await started();
    await planner.run(FOREVER);
    await broadcasts.pause(id);
    expect(await t.sendDue()).toBe(0);
    expect(await broadcasts.get(id)).toMatchObject({
      state: 'paused',
      counts: { held: 20 },
      complete: false,
    });
    // The owner's word is to resume it. Sent one by one, the claim would hold them again, for ever.
    const held = t.app.get(HeldService, { strict: false });
    expect([(await held.counts()).held, await held.release({}), await held.cancel({})]).toEqual([[], 0, 0]);
    await broadcasts.resume(id);
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({ state: 'running', counts: { ready: 20 } });
    await broadcasts.cancel(id);
    await planner.run(FOREVER);
    expect(await t.sendDue()).toBe(0);
    expect(await broadcasts.get(id)).toMatchObject({
      state: 'cancelled',
      counts: { cancelled: 20 },
      complete: true,
    });
    await expect(broadcasts.resume(id)).rejects.toMatchObject({ code: 'BROADCAST_STATE_CONFLICT' });
    expect(taken()).toEqual([]);
  });

  it('leaves mails held for another reason where they are when it goes on', async () => {
    await people(3);
    const id = await started();
    await planner.run(FOREVER);
    await t.db.query(
      `update message set state = 'held', state_reason = 'overdue' where address = 'p1@example.com'`,
    );
    await broadcasts.pause(id);
    await t.sendDue();
    await broadcasts.resume(id);
    await settle(id);
    expect((await broadcasts.get(id)).counts).toEqual({ accepted: 2, held: 1 });
  });

  it('writes to a mailbox once that stands in the list twice', async () => {
    // The list itself keeps addresses apart; should it ever fail to, the ledger still does.
    await t.db.query('alter table subscriber drop constraint subscriber_email_key_key');
    await t.subscriber('ada@example.org');
    await t.subscriber('ada@example.org');
    const id = await started();
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({ state: 'running', planned: 1, counts: { ready: 1 } });
    await t.db.query('delete from subscriber');
    await t.db.query('alter table subscriber add unique (email_key)');
  });

  it('keeps the words it was started with', async () => {
    await people(2);
    const id = await started();
    const before = (await broadcasts.get(id)).templateId;
    await expect(broadcasts.edit(id, { template: 'emails/nudge' })).rejects.toMatchObject({
      code: 'BROADCAST_STATE_CONFLICT',
    });
    await planner.run(FOREVER);
    const rows: unknown[] = await t.db.query('select distinct email_template_id as id from message');
    expect(rows).toEqual([{ id: before }]);
  });

  it('goes on behind the last whole batch after a worker has died', async () => {
    await people(4_500);
    const id = await started();
    // The worker's second batch ends between the mails and the cursor.
    await t.db.query(
      `create function die() returns trigger language plpgsql as $$ begin raise 'the worker died'; end $$`,
    );
    await t.db.query(`create trigger dying before update on broadcast for each row
      when (new.planned_count > 2000) execute function die()`);
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({
      state: 'planning',
      planned: 2_000,
      counts: { ready: 2_000 },
    });
    await t.db.query('drop trigger dying on broadcast');
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({
      state: 'running',
      planned: 4_500,
      counts: { ready: 4_500 },
    });
    expect(new Set(await addresses()).size).toBe(4_500);
  });

  it('is planned once by three workers at the same time', async () => {
    await people(4_500);
    const id = await started();
    await Promise.all([1, 2, 3].map(async () => planner.run(FOREVER)));
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({ planned: 4_500, counts: { ready: 4_500 } });
  });

  it('freezes its audience at the start: late joiners are not in it, who left before planning is not either', async () => {
    await people(3);
    const { id } = await broadcasts.create(draft());
    await broadcasts.start(id, new Date('2026-03-02T12:00:00Z'));
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({ state: 'scheduled', counts: {} });
    t.clock.set('2026-03-02T12:00:00Z');
    const queries = t.app.get(BroadcastsQueries, { strict: false });
    await queries.begin(t.db.manager, await broadcasts.get(id), t.clock.now());
    await t.subscriber('late@example.com');
    await t.db.query(`update subscriber set status = 'unsubscribed' where email_key = 'p2@example.com'`);
    await planner.run(FOREVER);
    expect(await addresses()).toEqual(['p1@example.com', 'p3@example.com']);
  });

  it('does not reach who has left between planning and sending, nor who opted out of its topic', async () => {
    await people(3);
    const id = await started({ topic: 'tips' });
    await planner.run(FOREVER);
    await t.db.query(`update subscriber set status = 'unsubscribed' where email_key = 'p1@example.com'`);
    await t.db.query(
      `insert into topic_opt_out select id, 'tips', now() from subscriber where email_key = 'p2@example.com'`,
    );
    await settle(id);
    expect(taken()).toEqual(['p3@example.com']);
    expect((await broadcasts.get(id)).counts).toEqual({ accepted: 1, suppressed: 2 });
  });

  it('reaches those its filter names', async () => {
    const tagged = async (email: string, tags: string[]): Promise<void> => {
      const id = await t.subscriber(email);
      for (const tag of tags) {
        await t.db.query(
          `with named as (insert into tag (name, created_at) values ($2, now())
             on conflict (name) do update set name = excluded.name returning id)
           insert into subscriber_tag select $1, id, $3 from named`,
          [id, tag, t.clock.now()],
        );
      }
    };
    await tagged('none@example.com', []);
    await tagged('a@example.com', ['a']);
    await tagged('ab@example.com', ['a', 'b']);
    await tagged('abc@example.com', ['a', 'b', 'c']);
    const reached = async (audience: BroadcastDraft['audience']): Promise<string[]> => {
      await t.db.query('delete from message');
      const id = await started({ audience });
      const size = await broadcasts.audienceSize(id);
      await planner.run(FOREVER);
      const found = await addresses();
      expect(size).toBe(found.length);
      return found.map((address) => address.split('@')[0] ?? '');
    };
    await tagged('gone@example.com', ['a', 'b']);
    await t.db.query(`update subscriber set status = 'unsubscribed' where email = 'gone@example.com'`);
    expect(await reached({ everybody: true })).toEqual(['a', 'ab', 'abc', 'none']);
    expect(await reached({ tags: { any: ['b', 'c'] } })).toEqual(['ab', 'abc']);
    expect(await reached({ tags: { all: ['a', 'b'] } })).toEqual(['ab', 'abc']);
    expect(await reached({ tags: { none: ['b'] } })).toEqual(['a', 'none']);
    expect(await reached({ tags: { any: ['a'], none: ['c'] } })).toEqual(['a', 'ab']);
    expect(await reached({ tags: { any: ['unknown'] } })).toEqual([]);
    await t.db
      .query(`insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
      values ('guide', 'Guide', '{}', '', 1, now(), now())`);
    expect(await reached({ funnel: 'guide' })).toEqual([]);
    await t.db.query(`insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
      values ('guide', 'guide', 'Guide', '{}', now(), now())`);
    await t.db
      .query(`insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
      select id, 1, '{}', 'x', now() from sequence`);
    await t.db.query(
      `insert into enrollment (sequence_id, version_id, subscriber_id, status, started_at)
       select v.sequence_id, v.id, s.id, 'completed', $1 from sequence_version v, subscriber s where s.email = 'a@example.com'`,
      [t.clock.now()],
    );
    expect(await reached({ funnel: 'guide', tags: { any: ['a'] } })).toEqual(['a']);
    await t.db.query(`update subscriber set paused_until = '2027-01-01' where email = 'a@example.com'`);
    const { id } = await broadcasts.create(draft({ audience: { tags: { any: ['a'] } } }));
    expect(await broadcasts.audienceSize(id)).toBe(2);
  });

  it('sends nothing that has expired', async () => {
    await people(2);
    const id = await started({ expiresAt: new Date('2026-03-02T10:00:00Z') });
    await planner.run(FOREVER);
    t.clock.set('2026-03-02T10:00:00Z');
    await settle(id);
    expect((await broadcasts.get(id)).counts).toEqual({ expired: 2 });
    const late = await broadcasts.create(draft({ expiresAt: new Date('2026-03-02T09:30:00Z') }));
    await expect(broadcasts.start(late.id, null)).rejects.toMatchObject({ code: 'BROADCAST_EXPIRY_INVALID' });
  });

  it('is open again when an uncertain mail is sent once more', async () => {
    await people(2);
    const id = await started();
    await settle(id);
    expect(await broadcasts.get(id)).toMatchObject({ state: 'done' });
    await t.db.query(`update message set state = 'ready', data_at = null where address = 'p1@example.com'`);
    await planner.run(FOREVER);
    expect(await broadcasts.get(id)).toMatchObject({ state: 'running', complete: false });
    expect(await t.sendDue()).toBe(1);
  });

  it('writes no mail to somebody who was erased after the batch was read', async () => {
    await people(2);
    const id = await started();
    const held = t.db.createQueryRunner();
    await held.startTransaction();
    // Planning has read its batch when it waits for the broadcast.
    await held.query(
      `update broadcast set state = 'planning', started_at = now(), audience_last_id = 9999999`,
    );
    await held.commitTransaction();
    await held.startTransaction();
    await held.query('select * from broadcast for update');
    const planned = planner.run(FOREVER);
    await untilWaiting(t.db, 1);
    await held.query(`delete from subscriber where email_key = 'p1@example.com'`);
    await held.commitTransaction();
    await held.release();
    await planned;
    expect(await addresses()).toEqual(['p2@example.com']);
    expect(await broadcasts.get(id)).toMatchObject({ state: 'running', planned: 1 });
  });

  it('lets an erasure wait for the batch that is being written', async () => {
    await people(1);
    const id = await started();
    const { id: subscriberId } =
      ((await t.db.query('select id from subscriber')) as { id: string }[])[0] ?? {};
    const planning = t.db.createQueryRunner();
    await planning.startTransaction();
    await planning.query('select pg_advisory_xact_lock_shared($1)', [LOCKS.planning]);
    const forgotten = t.db.transaction(async (manager) => t.messages.forget(manager, subscriberId ?? ''));
    await untilWaiting(t.db, 1);
    await planning.query(
      `insert into message (dedupe_key, class, kind, subscriber_id, broadcast_id, email_template_id, sender, address,
         address_hash, message_id_header, due_at, created_at)
       values ('b:1:1', 'marketing', 'broadcast', $1, $2, 1, '{}', 'p1@example.com', 'x', '<1@example.com>', now(), now())`,
      [subscriberId, id],
    );
    await planning.commitTransaction();
    await planning.release();
    await forgotten;
    expect(await addresses()).toEqual(['erased']);
  });

  it.each([
    ['that is not there', 'emails/none', 'TEMPLATE_NOT_FOUND'],
    ['without a link to unsubscribe', 'emails/receipt', 'TEMPLATE_INVALID'],
  ])('is refused with a mail %s', async (_, template, code) => {
    await expect(broadcasts.create(draft({ template }))).rejects.toMatchObject({ code });
  });
});
