import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLAIM_OTHERS } from '../../../../src/delivery/ledger/claim.queries.js';
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

  it('counts each queue and priority, and neither what is due later nor what is claimed', async () => {
    expect(await places()).toEqual([]);
    for (let n = 0; n < 3; n++) await t.plan(`step${n}@example.org`);
    await t.plan('last@example.org', { priority: 9 });
    await t.plan('later@example.org', { priority: 1, dueAt: LATER });
    await t.plan('buyer@example.org', { class: 'transactional', kind: 'receipt' });
    await t.db.query(`update message set lane_key = 'example.net|other' where address = 'step0@example.org'`);
    expect(await places()).toEqual([
      { queueKey: 'example.com|other', priority: 0, due: 1 },
      { queueKey: 'example.com|other', priority: 5, due: 2 },
      { queueKey: 'example.com|other', priority: 9, due: 1 },
      { queueKey: 'example.net|other', priority: 5, due: 1 },
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

  /** PostgreSQL 18 skips to each priority by itself; an older one reads all of the queue unless the priority is bound. */
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
          name === 'ledger-places'
            ? `now(), 256`
            : `'w', 0, now(), '{}', '{}'${', null'.repeat(9)}, '{}', null, null`;
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

  /** As one that has been in use for a while: most of its mails have been sent, and a broadcast is put off. */
  it('finds one mail behind a broadcast that is put off in the order of what is due, and does not read the whole ledger', async () => {
    await t.plan('reader@example.org');
    const copies = (state: string, from: number, to: number): string => `
      insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, due_at,
        created_at, lane_key, priority, state)
      select 'copy:' || n, class, kind, email_template_id, sender, address, address_hash, '<' || n || '@example.com>',
        due_at - n * interval '1 second', created_at, lane_key, priority, '${state}'
      from message, generate_series(${from}, ${to}) n where dedupe_key = 'test:reader@example.org'`;
    await t.db.query(copies('accepted', 1, 20_000));
    await t.db.query(copies('ready', 20_001, 22_000));
    await t.db.query('analyze message');
    const [row]: { id: string }[] = await t.db.query('select email_template_id as id from message limit 1');
    const place = [['example.com|other'], [256]];
    const { rows } = await pgPool(t.db).query<Record<string, string>>({
      text: `explain ${CLAIM_OTHERS}`,
      values: [
        'w',
        256,
        OPENED_AT,
        ...place,
        ...Array.from({ length: 9 }, () => null),
        [5],
        null,
        null,
        [row?.id],
      ],
    });
    const text = rows.map((line) => line['QUERY PLAN']).join('\n');
    expect(text).toMatch(/Index Scan using message_ready on message m/);
    expect(text).not.toMatch(/Seq Scan on message/);
  });
});
