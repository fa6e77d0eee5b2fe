import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PoolClient } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BouncesService } from '../../../../src/bounces/bounces.service.js';
import { BroadcastMailsQueries } from '../../../../src/delivery/planning/broadcast-mails.queries.js';
import { acceptProven, uncountedRefusals } from '../../../../src/delivery/ledger/message-evidence.queries.js';
import { Reaper } from '../../../../src/delivery/sending/reaper.service.js';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import type { Settlement } from '../../../../src/delivery/replies/settlement.js';
import { pgPool } from '../../../../src/infra/database/pg-pool.js';
import { JobRegistry } from '../../../../src/infra/jobs/job-registry.js';
import { seedReaders } from '../../../support/mail-seed.js';
import { openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

describe('the statements of the ledger', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    t.sink.onRecipient = async () => undefined;
    await empty(t.db, 'message, message_attempt, bounce, suppression, subscriber');
  });

  const claim = async (limit: number, db?: PoolClient): ReturnType<PostOffice['claim']> =>
    t.claim('first', limit, db);
  /** Then PostgreSQL commits, and the connection ends before the worker hears of it: the worker asks again. */
  const claimed = async (email: string): Promise<{ id: string; epoch: number }> => {
    await t.plan(email);
    const [message] = (await claim(1)).messages;
    if (!message) throw new Error('nothing was claimed');
    return { id: message.id, epoch: message.epoch };
  };

  it('lets the mail pass the barrier when it is asked again, instead of leaving it unknown', async () => {
    const lost = await claimed('again@example.com');
    expect(await t.ledger.write([], [lost])).toEqual(new Set([lost.id]));
    expect(await t.ledger.write([], [lost])).toEqual(new Set());
    expect(await t.ledger.write([], [lost], true)).toEqual(new Set([lost.id]));
  });

  it('lets nobody pass with an older lease', async () => {
    const lost = await claimed('older@example.com');
    expect(await t.ledger.write([], [{ ...lost, epoch: lost.epoch - 1 }], true)).toEqual(new Set());
  });

  it('suppresses a mail whose reader left in between, instead of leaving it unknown', async () => {
    const lost = await claimed('left@example.com');
    await t.ledger.write([], [lost]);
    await t.db.query(`update subscriber set status = 'unsubscribed'`);
    expect(await t.ledger.write([], [lost], true)).toEqual(new Set());
    await t.ledger.settleHeld([{ ...lost, durationMs: 5, relay: 'one', tls: null }]);
    expect(await t.state(lost.id)).toMatchObject({ state: 'suppressed', leaseUntil: null });
    expect(await attempts(lost.id)).toEqual([`${lost.epoch} barrier held_back one`]);
  });

  const attempts = async (id: string): Promise<string[]> => {
    const rows: { said: string }[] = await t.db.query(
      `select concat_ws(' ', epoch, stage, outcome, relay) as said from message_attempt where message_id = $1 order by epoch`,
      [id],
    );
    return rows.map(({ said }) => said);
  };

  it('leave no lease without an attempt when its worker has died, and keep a 250 that comes late', async () => {
    const [begun, idle] = [await claimed('begun@example.com'), await claimed('idle@example.com')];
    await t.ledger.write([], [begun]);
    await t.db.query(
      `update message set lease_until = clock_timestamp() - interval '1 second', data_at = data_at - interval '10 minutes'`,
    );
    expect(await t.ledger.reap({ now: t.clock.now() })).toEqual({ returned: 1, unknown: 1, resent: 0 });
    expect(await attempts(idle.id)).toEqual([`-${idle.epoch} envelope left_behind`]);
    const late = { ...told(begun.id, begun.epoch), state: 'accepted' as const, acceptedAt: t.clock.now() };
    await t.ledger.write([late], []);
    expect(await attempts(begun.id)).toEqual([
      `-${begun.epoch} body left_behind`,
      `${begun.epoch} RCPT TO accepted one`,
    ]);
    expect(await t.state(begun.id)).toMatchObject({ state: 'accepted' });
  });

  it('leave a mail unknown for no longer than until the look behind its opening', async () => {
    const begun = await claimed('opened@example.com');
    await t.ledger.write([], [begun]);
    await t.db.query(
      `update message set lease_until = clock_timestamp() - interval '1 second', data_at = data_at - interval '10 minutes'`,
    );
    await t.ledger.reap({ now: t.clock.now() });
    const look = async (): Promise<unknown> => t.app.get(Reaper, { strict: false }).run();
    await look();
    expect(await t.state(begun.id)).toMatchObject({ state: 'unknown' });
    await t.db.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
       values ('open', $1, 'proxy', 'as the test says', 1, clock_timestamp())`,
      [begun.id],
    );
    await look();
    expect(await t.state(begun.id)).toMatchObject({ state: 'accepted', reason: 'it was opened' });
  });

  const told = (id: string, epoch: number): Settlement => ({
    id,
    epoch,
    state: 'rejected',
    reason: 'user_unknown',
    dueAt: null,
    code: 550,
    reply: `550 5.1.1 <gone@example.com>: user unknown`,
    stage: 'RCPT TO',
    acceptedAt: null,
    countsAsAttempt: true,
    countsAsUnknown: false,
    relay: 'one',
    tls: null,
    durationMs: 5,
  });

  it('write nothing back that quotes the address of somebody who was erased meanwhile', async () => {
    const [begun, waiting] = [await claimed('gone@example.com'), await claimed('going@example.com')];
    await t.ledger.write([], [begun]);
    const people: { id: string }[] = await t.db.query('select id from subscriber');
    for (const { id } of people) await t.db.transaction(async (manager) => t.messages.forget(manager, id));
    await t.ledger.write([told(begun.id, begun.epoch), told(waiting.id, waiting.epoch)], []);
    expect(await t.db.query('select outcome, reply_code, reply_text from message_attempt')).toEqual(
      Array.from({ length: 2 }, () => ({ outcome: 'rejected', reply_code: 550, reply_text: null })),
    );
    expect(await t.db.query('select state, reply_text from message order by id')).toEqual([
      { state: 'rejected', reply_text: null },
      { state: 'cancelled', reply_text: null },
    ]);
  });

  it('take back what a dead worker left although there is a journal that cannot be replayed', async () => {
    const [accepted, left] = [await claimed('accepted@example.com'), await claimed('left@example.com')];
    await t.ledger.write([], [accepted]);
    await t.db.query(
      `update message set lease_until = clock_timestamp() - interval '1 second' where id = $1`,
      [left.id],
    );
    const good = { ...told(accepted.id, accepted.epoch), state: 'accepted', acceptedAt: t.clock.now() };
    const folder = join(t.config.dataDir, 'journal');
    const named = (n: number): string =>
      `accepted-99999999-${String(n).repeat(8)}-0000-0000-0000-000000000000.jsonl`;
    await mkdir(join(folder, named(1)), { recursive: true });
    const lines = [{ ...good, epoch: 99_999_999_999 }, good].map((one) => `${JSON.stringify(one)}\n`);
    await writeFile(join(folder, named(2)), lines.join(''));
    const job = t.app.get(JobRegistry, { strict: false }).get('delivery.reap');
    await job?.run({ deadline: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal });
    expect(await t.state(accepted.id)).toMatchObject({ state: 'accepted' });
    expect(await t.state(left.id)).toMatchObject({ state: 'ready' });
    const others = (await readdir(folder)).filter((name) => name !== named(1));
    expect(others).toEqual([expect.stringMatching(/^accepted-[0-9a-f-]{36}\.jsonl\.refused$/)]);
  });

  it('do not read the whole list for each claim', async () => {
    await seedReaders(t.db.manager, 5_000);
    for (let reader = 0; reader < 40; reader++) await t.plan(`due-${reader}@example.com`);
    await t.db.query('analyze subscriber, message');
    const client = await pgPool(t.db).connect();
    // Counts also what earlier transactions of the connection have not yet reported.
    const readersRead = async (): Promise<number> => {
      const { rows } = await client.query<{ count: string }>(
        `select seq_tup_read + idx_tup_fetch as count from pg_stat_xact_user_tables where relname = 'subscriber'`,
      );
      return Number(rows[0]?.count);
    };
    try {
      await client.query('begin');
      const before = await readersRead();
      expect((await claim(256, client)).messages).toHaveLength(40);
      expect((await readersRead()) - before).toBeLessThanOrEqual(80);
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  describe('a receipt whose worker died in the middle of it', () => {
    const begun = async (): Promise<string> => {
      const id = await t.plan('receipt@example.com', { class: 'transactional' });
      const { messages } = await claim(10);
      expect(await t.ledger.write([], [{ id, epoch: messages[0]?.epoch ?? 0 }])).toEqual(new Set([id]));
      await t.db.query(
        `update message set lease_until = clock_timestamp() - interval '1 second', data_at = data_at - interval '10 minutes'`,
      );
      return id;
    };

    it('is unknown, not suppressed, when its address is given up before it is sent once more', async () => {
      const id = await begun();
      expect(await t.ledger.reap({ now: t.clock.now() })).toEqual({ returned: 0, unknown: 0, resent: 1 });
      await t.db.query(
        `insert into suppression (email_hash, reason, scope, source, created_at) select address_hash, 'hard_bounce', 'all', 'test', now() from message`,
      );
      expect((await claim(10)).messages).toEqual([]);
      expect(await t.state(id)).toMatchObject({ state: 'unknown', reason: 'suppression list' });
    });

    it.each([
      [
        'by the owner',
        async () => t.app.get(HeldService, { strict: false }).cancel({ reason: 'restored backup' }),
      ],
      ['with its broadcast', async () => t.app.get(BroadcastMailsQueries, { strict: false }).cancel('7', 10)],
    ])('is unknown, not cancelled, when it is held and then cancelled %s', async (_, cancel) => {
      const id = await begun();
      await t.ledger.reap({ now: t.clock.now() });
      await t.db.query(
        `update message set state = 'held', state_reason = 'restored backup', broadcast_id = 7`,
      );
      await cancel();
      expect(await t.state(id)).toMatchObject({ state: 'unknown' });
    });

    it('is accepted when a report shows, while it is held, that it was taken', async () => {
      const id = await begun();
      await t.ledger.reap({ now: t.clock.now() });
      await t.db.query(`update message set state = 'held'`);
      expect(await t.messages.noteArrival(t.db.manager, id, 'a report')).toBe(true);
      expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    });

    /** Claimed to be sent once more. */
    const again = async (): Promise<{ id: string; epoch: number }> => {
      const id = await begun();
      await t.ledger.reap({ now: t.clock.now() });
      const { messages } = await claim(10);
      return { id, epoch: messages[0]?.epoch ?? 0 };
    };

    it.each([
      [
        'a bounce came in',
        async (id: string) =>
          t.db.query(
            `insert into bounce (message_id, source, verdict, reason, trusted, dedupe_key, received_at)
             values ($1, 'smtp', 'soft', 'mailbox_full', true, 'two', now())`,
            [id],
          ),
        'a report about it came back',
      ],
      [
        'an answer of somebody away came in',
        async (id: string) => t.messages.noteArrival(t.db.manager, id, 'a report'),
        'something came back of it',
      ],
    ])('is held back at its barrier when %s since its claim, and is accepted', async (_, come, reason) => {
      const claimed = await again();
      await come(claimed.id);
      expect(await t.ledger.write([], [claimed])).toEqual(new Set());
      await t.ledger.settleHeld([{ ...claimed, durationMs: 5, relay: 'one', tls: null }]);
      expect(await t.state(claimed.id)).toMatchObject({ state: 'accepted', reason, leaseUntil: null });
      expect((await t.state(claimed.id))['acceptedAt']).not.toBeNull();
    });

    it('is not sent once more when somebody away answered while its first try was under way', async () => {
      const id = await begun();
      expect(await t.messages.noteArrival(t.db.manager, id, 'a report')).toBe(false);
      expect(await t.ledger.reap({ now: t.clock.now() })).toEqual({ returned: 0, unknown: 1, resent: 0 });
      expect(await acceptProven(t.db.manager)).toBe(1);
      expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    });

    it('is unknown, not rejected, when the relay refuses it for good the second time', async () => {
      const id = await begun();
      await t.ledger.reap({ now: t.clock.now() });
      t.sink.onRecipient = async () => 550;
      expect(await t.sendDue()).toBe(0);
      expect(await t.state(id)).toMatchObject({ state: 'unknown', code: 550 });
      // The address is counted as refused, and that refusal is no proof of an arrival.
      const [refusal] = await uncountedRefusals(t.db.manager, 10);
      expect(refusal).toMatchObject({ id, replyCode: 550 });
      if (refusal) await t.app.get(BouncesService, { strict: false }).takeRefusal(refusal);
      expect(await uncountedRefusals(t.db.manager, 10)).toEqual([]);
      expect(await acceptProven(t.db.manager)).toBe(0);
    });

    it('is not sent once more when a report shows that it was taken', async () => {
      const id = await begun();
      await t.db.query(
        `insert into bounce (message_id, source, verdict, reason, trusted, dedupe_key, received_at) values ($1, 'smtp', 'hard', 'user_unknown', true, 'one', now())`,
        [id],
      );
      expect(await t.ledger.reap({ now: t.clock.now() })).toEqual({ returned: 0, unknown: 1, resent: 0 });
      expect(await acceptProven(t.db.manager)).toBe(1);
      expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    });
  });
});
