import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { DEFAULT_LANES } from '../../../../src/delivery/relays/relay-choice.js';
import { addressHash } from '../../../../src/subscribers/address-hash.js';
import { openPostOffice, OPENED_AT, SECRET, SENDER, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const MINUTE_MS = 60_000;

describe('sending what is due', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    const accept = async (): Promise<undefined> => undefined;
    Object.assign(t.sink, {
      mails: [],
      bodiesBegun: 0,
      onConnect: accept,
      onSender: accept,
      onRecipient: accept,
      onBody: accept,
    });
    t.clock.set(OPENED_AT);
    await empty(t.db, 'message, message_attempt, suppression, subscriber, relay_state');
  });

  const claim: PostOffice['claim'] = async (owner, limit) => t.claim(owner, limit);
  const enterData = async (id: string, epoch: number): Promise<boolean> =>
    (await t.ledger.write([], [{ id, epoch }])).has(id);

  const unsubscribe = async (): Promise<undefined> => {
    await t.db.query(`update subscriber set status = 'unsubscribed'`);
  };

  it('hands a planned mail to the relay once and writes down its answer', async () => {
    const id = await t.plan('once@example.com');
    expect(await t.sendDue()).toBe(1);
    expect(await t.sendDue()).toBe(0);
    expect(t.sink.mails).toHaveLength(1);
    expect(t.sink.mails[0]).toMatchObject({ from: 'ada@example.com', to: ['once@example.com'] });
    expect(await t.state(id)).toMatchObject({
      state: 'accepted',
      code: 250,
      acceptedAt: OPENED_AT,
      leaseUntil: null,
    });
    expect(
      await t.db.query('select outcome, stage from message_attempt where message_id = $1', [id]),
    ).toEqual([{ outcome: 'accepted', stage: 'done' }]);
  });

  it('plans the same mail once, however often it is asked to', async () => {
    const id = await t.plan('twice@example.com');
    expect(await t.plan('other@example.com', { dedupeKey: 'test:twice@example.com' })).toBe('');
    expect(await t.db.query('select id from message')).toEqual([{ id }]);
  });

  it('leaves a mail that is not due yet', async () => {
    const id = await t.plan('later@example.com', { dueAt: new Date(OPENED_AT.getTime() + 1) });
    expect(await t.sendDue()).toBe(0);
    t.clock.advance(1);
    expect(await t.sendDue()).toBe(1);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
  });

  it('sends each mail once when two workers send at the same time', async () => {
    const addresses = Array.from({ length: 150 }, (_, index) => `reader${index}@example.com`);
    for (const address of addresses) await t.plan(address);
    const accepted = await Promise.all([t.sendDue(), t.sendDue()]);
    expect(accepted[0] + accepted[1]).toBe(150);
    expect(t.sink.mails.flatMap(({ to }) => to).toSorted()).toEqual(addresses.toSorted());
    expect(new Set(t.sink.mails.map(({ parsed }) => parsed.messageId)).size).toBe(150);
  });

  it('gives two workers that claim at the same time different mails', async () => {
    for (let index = 0; index < 40; index++) await t.plan(`claim${index}@example.com`);
    const claims = await Promise.all(['a', 'b', 'c', 'd'].map(async (owner) => claim(owner, 10)));
    const ids = claims.flatMap(({ messages }) => messages.map(({ id }) => id));
    expect(ids).toHaveLength(40);
    expect(new Set(ids).size).toBe(40);
  });

  it.each([
    ['unsubscribes', unsubscribe, 'suppressed', 'subscriber is not active'],
    [
      'is put on the suppression list',
      async () => {
        await t.db.query(
          `insert into suppression (email_hash, scope, reason, source, created_at) values ($1, 'all', 'hard_bounce', 'test', now())`,
          [addressHash(SECRET, 'gone@example.com')],
        );
      },
      'suppressed',
      'suppression list',
    ],
    [
      'leaves the sequence',
      async () => {
        await t.db.query(
          `update message set state = 'cancelled', state_reason = 'left' where state = 'leased'`,
        );
      },
      'cancelled',
      'left',
    ],
  ])('sends not one byte of the body when the reader %s after the claim', async (...row) => {
    const [, change, state, reason] = row;
    const id = await t.plan('gone@example.com');
    t.sink.onRecipient = async () => {
      await change();
      return undefined;
    };
    expect(await t.sendDue()).toBe(0);
    expect(t.sink.bodiesBegun).toBe(0);
    expect(await t.state(id)).toMatchObject({ state, reason });
  });

  it('sends a receipt to somebody who has unsubscribed, and nothing to an address that bounced', async () => {
    const receipt = await t.plan('buyer@example.com', { class: 'transactional', kind: 'receipt' });
    await unsubscribe();
    expect(await t.sendDue()).toBe(1);
    expect(await t.state(receipt)).toMatchObject({ state: 'accepted' });
    const again = await t.plan('bounced@example.com', { class: 'transactional', kind: 'receipt' });
    await t.db.query(
      `insert into suppression (email_hash, scope, reason, source, created_at) values ($1, 'all', 'hard_bounce', 'test', now())`,
      [addressHash(SECRET, 'bounced@example.com')],
    );
    expect(await t.sendDue()).toBe(0);
    expect(await t.state(again)).toMatchObject({
      state: 'suppressed',
      reason: 'suppression list',
      attempt: 0,
    });
  });

  it('tries again after a 450, later each time, with the same Message-ID', async () => {
    const id = await t.plan('grey@example.com');
    t.sink.onBody = async () => 450;
    expect(await t.sendDue()).toBe(0);
    expect(await t.state(id)).toMatchObject({
      state: 'ready',
      code: 450,
      attempt: 1,
      dueAt: new Date(OPENED_AT.getTime() + MINUTE_MS),
    });
    t.clock.advance(MINUTE_MS);
    t.sink.onBody = async () => undefined;
    t.sink.onRecipient = async () => 451;
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({
      state: 'ready',
      attempt: 2,
      dueAt: new Date(OPENED_AT.getTime() + 6 * MINUTE_MS),
    });
    t.clock.advance(5 * MINUTE_MS);
    t.sink.onRecipient = async () => undefined;
    expect(await t.sendDue()).toBe(1);
    const stored: { header: string }[] = await t.db.query('select message_id_header as header from message');
    expect(t.sink.mails.map(({ parsed }) => parsed.messageId)).toEqual([stored[0]?.header]);
  });

  it('gives up after eight refusals for now', async () => {
    const id = await t.plan('never@example.com');
    t.sink.onRecipient = async () => 450;
    for (let attempt = 0; attempt < 9; attempt++) {
      await t.sendDue();
      t.clock.advance(12 * 60 * MINUTE_MS);
    }
    expect(await t.state(id)).toMatchObject({ state: 'expired', attempt: 8 });
  });

  it('gives up what comes from a sender whom the relay refuses for now, while the mails of another go through', async () => {
    const sender = { ...SENDER, email: 'bea@example.org' };
    const id = await t.plan('never@example.com', { sender });
    t.sink.onSender = async (address) =>
      address === sender.email ? { code: 451, text: '4.1.8 Sender domain does not resolve' } : undefined;
    for (let round = 0; round < 10; round++) {
      await t.plan(`reader${round}@example.com`);
      expect(await t.sendDue()).toBe(1);
      t.clock.advance(12 * 60 * MINUTE_MS);
    }
    expect(await t.state(id)).toMatchObject({ state: 'expired', code: 451 });
    expect(t.sink.mails).toHaveLength(10);
  });

  it('rejects for good what the relay refuses for good, and goes on with the next', async () => {
    const bad = await t.plan('unknown@example.com', { priority: 1 });
    const good = await t.plan('known@example.com');
    t.sink.onRecipient = async (address) => (address === 'unknown@example.com' ? 550 : undefined);
    expect(await t.sendDue()).toBe(1);
    expect(await t.state(bad)).toMatchObject({ state: 'rejected', code: 550 });
    expect(await t.state(good)).toMatchObject({ state: 'accepted' });
  });

  it('does not blame the reader when the relay refuses our own address', async () => {
    const id = await t.plan('innocent@example.com');
    t.sink.onSender = async () => 553;
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'ready', code: 553 });
  });

  it('uses up no attempt while the relay is closed, and stops knocking at it', async () => {
    const count = 2 * DEFAULT_LANES;
    for (let index = 0; index < count; index++) await t.plan(`waiting${index}@example.com`);
    t.sink.onConnect = async () => 554;
    const before = t.sink.connections;
    expect(await t.sendDue()).toBe(0);
    // One for each lane; the third failure opens the breaker, so two lanes may knock once more.
    expect(t.sink.connections - before).toBeLessThanOrEqual(DEFAULT_LANES + 2);
    const left: unknown[] = await t.db.query(`select 1 from message where state = 'ready' and attempt = 0`);
    expect(left).toHaveLength(count);
    t.sink.onConnect = async () => undefined;
    await t.db.query(`update relay_state set opened_until = clock_timestamp()`);
    // Reads the states anew, which are remembered for half a second.
    await t.app.get(RelaysService, { strict: false }).view();
    t.clock.advance(MINUTE_MS);
    // One mail finds out whether the relay is back. Lanes that come when it has may follow in the same run.
    const closed = t.sink.connections;
    let triedBy = 0;
    t.sink.onBody = async () => {
      triedBy ||= t.sink.connections - closed;
      return undefined;
    };
    const first = await t.sendDue();
    expect(triedBy).toBe(1);
    expect(first).toBeGreaterThan(0);
    expect(first + (await t.sendDue())).toBe(count);
  });

  it('calls a mail unknown when the connection is lost after the dot, and never sends it again', async () => {
    const id = await t.plan('maybe@example.com');
    t.sink.onBody = async () => 'drop';
    expect(await t.sendDue()).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'unknown' });
    t.sink.onBody = async () => undefined;
    t.clock.advance(24 * 60 * MINUTE_MS);
    expect(await t.sendDue()).toBe(0);
    expect(t.sink.mails).toHaveLength(1);
  });

  it('sends again what was lost before the body began', async () => {
    const id = await t.plan('cut@example.com');
    t.sink.onRecipient = async () => 'drop';
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'ready' });
    t.sink.onRecipient = async () => undefined;
    t.clock.advance(MINUTE_MS);
    expect(await t.sendDue()).toBe(1);
  });

  it('ends a mail that is due after its expiry without sending it', async () => {
    const id = await t.plan('stale@example.com', { expiresAt: OPENED_AT });
    expect(await t.sendDue()).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'expired', attempt: 0 });
    expect(t.sink.mails).toEqual([]);
  });

  it('finishes what is on the way and gives the rest back when it is told to stop', async () => {
    for (let index = 0; index < 40; index++) await t.plan(`drain${index}@example.com`);
    const stop = new AbortController();
    t.sink.onBody = async () => {
      stop.abort();
      return undefined;
    };
    const accepted = await t
      .newSender()
      .sendDue({ deadline: OPENED_AT.getTime() + 60_000, signal: stop.signal });
    expect(accepted).toBe(t.sink.mails.length);
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThanOrEqual(DEFAULT_LANES);
    const states: unknown[] = await t.db.query(
      'select state, max(attempt) as attempt, count(*)::int from message group by 1 order by 1',
    );
    expect(states).toEqual([
      { state: 'accepted', attempt: 1, count: accepted },
      { state: 'ready', attempt: 0, count: 40 - accepted },
    ]);
  });

  it('gives back in its next run what it could not give back while the database was away', async () => {
    for (let index = 0; index < 40; index++) await t.plan(`away${index}@example.com`);
    await t.db.query(
      `create function no_room() returns trigger language plpgsql as $$ begin raise exception 'no room' using errcode = '53100'; end $$`,
    );
    await t.db.query(
      `create trigger no_room before update on message for each row
       when (old.state = 'leased' and new.state = 'ready') execute function no_room()`,
    );
    const stop = new AbortController();
    t.sink.onBody = async () => {
      stop.abort();
      return undefined;
    };
    const sender = t.newSender();
    const deadline = OPENED_AT.getTime() + 60_000;
    await expect(sender.sendDue({ deadline, signal: stop.signal })).rejects.toThrow('no room');
    await t.db.query('drop function no_room cascade');
    t.sink.onBody = async () => undefined;
    await sender.sendDue({ deadline, signal: new AbortController().signal });
    const states: unknown[] = await t.db.query('select state, count(*)::int from message group by 1');
    expect(states).toEqual([{ state: 'accepted', count: 40 }]);
    expect(t.sink.mails).toHaveLength(40);
  });

  it('takes back what a dead worker had claimed, and calls unknown what it had begun', async () => {
    const [claimed, begun] = [await t.plan('claimed@example.com'), await t.plan('begun@example.com')];
    const { messages } = await claim('dead worker', 10);
    const epoch = messages[1]?.epoch ?? 0;
    expect(await enterData(begun, epoch)).toBe(true);
    expect(await t.ledger.reap({ now: t.clock.now() })).toEqual({ returned: 0, unknown: 0, resent: 0 });
    await t.db.query(
      `update message set lease_until = clock_timestamp() - interval '1 second', data_at = data_at - interval '10 minutes'`,
    );
    expect(await enterData(claimed, epoch)).toBe(false);
    expect(await t.ledger.reap({ now: t.clock.now() })).toEqual({ returned: 1, unknown: 1, resent: 0 });
    expect(await t.state(claimed)).toMatchObject({ state: 'ready' });
    expect(await t.state(begun)).toMatchObject({ state: 'unknown' });
  });

  it('lets a late worker say that its unknown mail was taken, but change nothing that another has claimed', async () => {
    const id = await t.plan('late@example.com');
    const first = (await claim('slow', 1)).messages[0]?.epoch ?? 0;
    const settled = {
      id,
      reason: null,
      dueAt: null,
      code: 250,
      reply: 'ok',
      stage: 'done',
      countsAsAttempt: true,
      countsAsUnknown: false,
      relay: null,
      tls: null,
      durationMs: 5,
    };
    await enterData(id, first);
    await t.db.query(`update message set state = 'unknown'`);
    await t.ledger.write([{ ...settled, epoch: first, state: 'accepted', acceptedAt: OPENED_AT }], []);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    await t.db.query(`update message set state = 'ready'`);
    await claim('other', 1);
    await t.ledger.write([{ ...settled, epoch: first, state: 'rejected', acceptedAt: null }], []);
    expect(await t.state(id)).toMatchObject({ state: 'leased' });
  });

  it('does not send the mail whose subject got a line break from data, and says so', async () => {
    const offer = await t.templates.publish(t.db.manager, 'emails/offer');
    const price = { amountMinor: 100, currency: 'EUR' };
    const id = await t.plan('split@example.com', {
      templateId: offer,
      data: {
        offer: {
          slug: 'kit',
          title: 'Kit\r\nBcc: evil@example.net',
          price,
          fullPrice: price,
          discountBps: 0,
        },
      },
    });
    await t.sendDue();
    expect(t.sink.mails).toEqual([]);
    expect(await t.state(id)).toMatchObject({
      state: 'rejected',
      reason: 'the subject has a line break in it',
    });
  });
});
