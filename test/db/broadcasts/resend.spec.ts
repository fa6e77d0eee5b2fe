import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { conditionsUnmet } from '../../../src/analytics/explain.queries.js';
import { BroadcastResends } from '../../../src/broadcasts/broadcast-resends.service.js';
import { addressHash } from '../../../src/subscribers/address-hash.js';
import { SECRET, type PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, type Desk } from './desk.js';

describe('a broadcast that is sent once more', () => {
  let desk: Desk;
  let t: PostOffice;
  let resends: BroadcastResends;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
    resends = t.app.get(BroadcastResends, { strict: false });
  });
  afterAll(async () => t.close());
  afterEach(async () => desk.clear());

  const AGAIN = { subject: 'Did you see this?', template: null, title: null, unless: 'opened' as const };
  const hit = async (email: string, kind: string, hitClass: string): Promise<void> => {
    await t.db.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
       select $2, id, $3, 'as the test says', 1, $4 from message where address = $1`,
      [email, kind, hitClass, t.clock.now()],
    );
  };
  const names = (): string[] => desk.taken().map((address) => address.split('@')[0] ?? '');
  const sentOnce = async (people: string[]): Promise<string> => {
    for (const name of people) await t.subscriber(`${name}@example.com`);
    const id = await desk.started();
    await desk.settle(id);
    t.sink.mails.length = 0;
    t.clock.advance(86_400_000);
    return id;
  };
  const sendAgain = async (id: string, change: object = {}): Promise<string> => {
    const draft = await resends.draft(id, { ...AGAIN, ...change });
    await desk.broadcasts.start(draft.id, null);
    await desk.settle(draft.id);
    return draft.id;
  };

  it('goes to those who did not open, in other words; openings by machines are none', async () => {
    const id = await sentOnce([
      'nothing',
      'opened',
      'maybe',
      'proxy',
      'scanner',
      'clicked',
      'left',
      'bought',
      'suppressed',
      'untracked',
    ]);
    await t.subscriber('joined-later@example.com');
    await hit('opened@example.com', 'open', 'human');
    await hit('maybe@example.com', 'open', 'unknown');
    await hit('proxy@example.com', 'open', 'proxy');
    await hit('scanner@example.com', 'click', 'scanner');
    // Pictures were off, but a click is made by somebody who has opened it.
    await hit('clicked@example.com', 'click', 'human');
    await t.db.query(`update subscriber set status = 'unsubscribed' where email = 'left@example.com'`);
    await t.db.query(`update subscriber set tracking_consent = false where email = 'untracked@example.com'`);
    await t.db.query(
      `insert into conversion (kind, funnel_key, dedupe_key, subscriber_id, at)
       select 'order', 'x', 'order:1', id, $1 from subscriber where email = 'bought@example.com'`,
      [t.clock.now()],
    );
    await t.db.query(
      `insert into suppression (email_hash, scope, reason, source, created_at) values ($1, 'all', 'manual', 'api', now())`,
      [addressHash(SECRET, 'suppressed@example.com')],
    );
    const draft = await resends.draft(id, AGAIN);
    expect(draft).toMatchObject({ state: 'draft', title: 'News of March (again)', resendOf: id });
    expect(await desk.broadcasts.audienceSize(draft.id)).toBe(3);
    expect(await desk.broadcasts.get(id)).toMatchObject({ resentBy: draft.id });
    await desk.broadcasts.start(draft.id, null);
    await desk.settle(draft.id);
    expect(names()).toEqual(['nothing', 'proxy', 'scanner']);
    const again = await desk.broadcasts.get(draft.id);
    const [opened] = await t.db.query(`select id from subscriber where email = 'opened@example.com'`);
    expect(await conditionsUnmet(t.db.manager, opened.id, { ...again, zone: 'UTC' })).toEqual([
      'has not opened it, as far as a machine’s doing can be told from a person’s',
    ]);
    expect(new Set(t.sink.mails.map(({ parsed }) => parsed.subject))).toEqual(new Set([AGAIN.subject]));
    expect(await desk.broadcasts.get(draft.id)).toMatchObject({ state: 'done', counts: { accepted: 3 } });
  });

  it('goes to those who did not click when that is the question', async () => {
    const id = await sentOnce(['nothing', 'opened', 'clicked']);
    await hit('opened@example.com', 'open', 'human');
    await hit('clicked@example.com', 'click', 'human');
    await sendAgain(id, { unless: 'clicked' });
    expect(names()).toEqual(['nothing', 'opened']);
  });

  it('reaches everybody once at most, also when it was cancelled half-way and written anew', async () => {
    const id = await sentOnce(['a', 'b', 'c', 'd']);
    const draft = await resends.draft(id, AGAIN);
    await desk.broadcasts.start(draft.id, null);
    await desk.planner.run(FOREVER);
    // Two were sent; of the others' mails one was cancelled, and one was never written.
    await t.db.query(
      `update message set due_at = due_at + interval '1 day' where broadcast_id = $1 and address like 'c@%'`,
      [draft.id],
    );
    await t.db.query(`delete from message where broadcast_id = $1 and address like 'd@%'`, [draft.id]);
    await t.sendDue();
    await expect(resends.draft(id, { ...AGAIN, subject: 'Third words' })).rejects.toMatchObject({
      code: 'BROADCAST_ALREADY_RESENT',
    });
    await desk.broadcasts.cancel(draft.id);
    await desk.planner.run(FOREVER);
    expect(names()).toEqual(['a', 'b']);
    await sendAgain(id, { subject: 'Third words' });
    expect(names()).toEqual(['a', 'b', 'd']);
  });

  it('is refused while mails of the first one wait: it went to nobody, and a second was refused', async () => {
    const id = await sentOnce(['a', 'b', 'c', 'd']);
    const waits = async (name: string, state: string): Promise<unknown> =>
      t.db.query(
        `with gone as (delete from message_attempt a using message m where m.id = a.message_id and m.address = $1)
         update message set state = $2, state_reason = 'as the test says', accepted_at = null, due_at = due_at + interval '9 days' where address = $1`,
        [`${name}@example.com`, state],
      );
    await t.db.query(`update broadcast set state = 'running' where id = $1`, [id]);
    await waits('a', 'ready');
    await waits('b', 'held');
    // A mailbox that is full takes it later, or never.
    await t.db.query(
      `update message set state = 'ready', due_at = due_at + interval '9 days' where address like 'c@%'`,
    );
    await expect(resends.draft(id, AGAIN)).rejects.toMatchObject({
      code: 'BROADCAST_WAITING_CONFLICT',
      message: expect.stringContaining('2 of its mails still wait'),
      facts: { id, waiting: 2 },
    });
    const draft = await resends.draft(id, { ...AGAIN, leaveOutWaiting: true });
    expect(await desk.broadcasts.audienceSize(draft.id)).toBe(1);
    await desk.broadcasts.cancel(draft.id);
    await t.db.query(`update message set state = 'cancelled' where address like 'a@%' or address like 'b@%'`);
    await sendAgain(id);
    expect(names()).toEqual(['d']);
  });

  it('can be sent once more when everybody was in its split test, so that nothing was decided', async () => {
    await t.subscriber('reader@example.com');
    const arms = [{}, { subject: 'Other words' }];
    const id = await desk.started({ split: { arms, testPercent: 90, waitMinutes: 60, judge: 'clicks' } });
    await desk.planner.run(FOREVER);
    await t.db.query(`update message set state = 'ready', arm = 0, state_reason = null`);
    await desk.settle(id);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'done', decision: null });
    t.clock.advance(86_400_000);
    t.sink.mails.length = 0;
    await sendAgain(id);
    expect(names()).toEqual(['reader']);
  });

  it('is refused with the same words, of one that is not through its planning, and of itself', async () => {
    const id = await sentOnce(['a']);
    const refused = async (of: string, change: object, code: string): Promise<void> => {
      await expect(resends.draft(of, { ...AGAIN, ...change })).rejects.toMatchObject({ code });
    };
    await refused(id, { subject: null }, 'BROADCAST_RESEND_INVALID');
    await refused(id, { template: 'emails/none' }, 'TEMPLATE_NOT_FOUND');
    await refused('999999', {}, 'BROADCAST_NOT_FOUND');
    const draft = await desk.broadcasts.create(desk.draft());
    await refused(draft.id, {}, 'BROADCAST_STATE_CONFLICT');
    const again = await sendAgain(id);
    await refused(again, { subject: 'Third words' }, 'BROADCAST_RESEND_INVALID');
    await refused(id, { subject: 'Third words' }, 'BROADCAST_ALREADY_RESENT');
    const other = await resends.draft(await sentOnce(['b']), AGAIN);
    await expect(desk.broadcasts.edit(other.id, { audience: { everybody: true } })).rejects.toMatchObject({
      code: 'BROADCAST_RESEND_INVALID',
    });
  });
});
