import type { PoolClient } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { pgPool } from '../../../src/infra/database/pg-pool.js';
import { seedReaders } from '../../support/mail-seed.js';
import { openPostOffice, type PostOffice } from './post-office.js';

describe('the statements of the ledger', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    await t.db.query('truncate message, suppression, subscriber cascade');
  });

  const claim = async (limit: number, db?: PoolClient): ReturnType<typeof t.ledger.claim> => {
    const lanes = [{ laneKey: 'example.com|other', limit }];
    const overdue = { overdueBefore: null, action: null, reason: null };
    return t.ledger.claim('first', { lanes, limit, now: t.clock.now(), overdue }, db);
  };
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
    await t.ledger.settleHeld([lost]);
    expect(await t.state(lost.id)).toMatchObject({ state: 'suppressed', leaseUntil: null });
  });

  it('do not read the whole list for each claim', async () => {
    await seedReaders(t.db.manager, 5_000);
    for (let reader = 0; reader < 40; reader++) await t.plan(`due-${reader}@example.com`);
    await t.db.query('analyze subscriber, message');
    const client = await pgPool(t.db).connect();
    try {
      await client.query('begin');
      expect((await claim(256, client)).messages).toHaveLength(40);
      const { rows } = await client.query<{ read: number }>(
        `select (seq_tup_read + idx_tup_fetch)::int as read from pg_stat_xact_user_tables where relname = 'subscriber'`,
      );
      expect(rows[0]?.read).toBeLessThanOrEqual(80);
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});
