import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { duePlaces } from '../../../../src/delivery/ledger/due-places.queries.js';
import { LedgerClaims } from '../../../../src/delivery/sending/ledger-claims.service.js';
import { pgPool } from '../../../../src/infra/database/pg-pool.js';
import { openPostOffice, OPENED_AT, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const LATER = new Date(OPENED_AT.getTime() + 3_600_000);

describe('looking for what is due', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    await empty(t.db, 'message, message_attempt, subscriber');
  });

  const places = async (most = 10): ReturnType<LedgerClaims['duePlaces']> =>
    t.app.get(LedgerClaims, { strict: false }).duePlaces(OPENED_AT, most);

  it('counts each lane and priority, and neither what is due later nor what is claimed', async () => {
    expect(await places()).toEqual([]);
    for (let n = 0; n < 3; n++) await t.plan(`step${n}@example.org`);
    await t.plan('last@example.org', { priority: 9 });
    await t.plan('later@example.org', { priority: 1, dueAt: LATER });
    await t.plan('buyer@example.org', { class: 'transactional', kind: 'receipt' });
    await t.db.query(`update message set lane_key = 'example.net|other' where address = 'step0@example.org'`);
    expect(await places()).toEqual([
      { laneKey: 'example.com|other', priority: 0, due: 1 },
      { laneKey: 'example.com|other', priority: 5, due: 2 },
      { laneKey: 'example.com|other', priority: 9, due: 1 },
      { laneKey: 'example.net|other', priority: 5, due: 1 },
    ]);
    expect((await places(1)).map(({ due }) => due)).toEqual([1, 1, 1, 1]);
    expect((await t.claim('worker', 1)).messages).toMatchObject([{ class: 'transactional' }]);
    expect((await places()).map(({ priority }) => priority)).toEqual([5, 9, 5]);
  });

  it('sends what is due at every priority, more urgent first, in one run', async () => {
    for (const priority of [9, 0, 5, 1])
      await t.plan(`at${priority}@example.org`, { priority, class: 'transactional', kind: 'receipt' });
    expect(await t.sendDue()).toBe(4);
  });

  /** PostgreSQL 18 skips to each priority by itself; an older one reads all of the lane unless the priority is bound. */
  it('does not walk what is due later, a million mails of a broadcast that is spread, on an older PostgreSQL either', async () => {
    const client = await pgPool(t.db).connect();
    try {
      await duePlaces(client, OPENED_AT, 10);
      await t.claim('worker', 10, client);
      const { rows } = await client.query<{ name: string; statement: string }>(
        `select name, statement from pg_prepared_statements where name in ('ledger-places', 'ledger-claim')`,
      );
      expect(rows.map(({ name }) => name).toSorted()).toEqual(['ledger-claim', 'ledger-places']);
      await client.query('set enable_seqscan = off; set enable_bitmapscan = off');
      for (const { name } of rows) {
        const values =
          name === 'ledger-places' ? `now(), 256` : `'w', 0, now(), '{}', '{}'${', null'.repeat(9)}, '{}'`;
        const plan = await client.query<Record<string, string>>(`explain execute "${name}"(${values})`);
        const text = plan.rows.map((row) => row['QUERY PLAN']).join('\n');
        expect(text).toMatch(
          /Index Cond: \(\(lane_key = place\.\w+\) AND \(priority = place\.priority\) AND \(due_at <=/,
        );
      }
    } finally {
      client.release(true);
    }
  });
});
