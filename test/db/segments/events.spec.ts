import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataSource } from '../../../src/infra/database/migrate.js';
import { compileConditions } from '../../../src/segments/compile.js';
import { type Condition, conditionSchema } from '../../../src/segments/condition.js';
import { compileForEverybody } from '../../../src/segments/compile-for-everybody.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

const NOW = new Date('2026-03-02T09:00:00Z');
const OPTIONS = {
  ...{ definitions: new Map(), now: NOW, zone: 'UTC' },
  ...{ fieldBlocks: false, gaps: [], middleSignUp: NOW },
};
const PEOPLE = 20_000;
const EVENTS = 300_000;

/** Many people with many events of a hundred names, a few of them of one that is asked for. */
describe('a segment of those who did something', () => {
  let database: TestDatabase;
  let db: DataSource;
  beforeAll(async () => {
    database = await createTestDatabase();
    db = await openDataSource(database.url);
    await db.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at)
       select n || '@example.com', n || '@example.com', 'active', now(), now() from generate_series(1, ${PEOPLE}) n`,
    );
    await db.query(
      `insert into subscriber_event (subscriber_id, name, at, created_at)
       select 1 + n % ${PEOPLE}, 'event-' || n % 97, $1::timestamptz - n % 400 * interval '1 day', now() from generate_series(1, ${EVENTS}) n`,
      [NOW],
    );
    await db.query('vacuum analyze subscriber_event, subscriber');
  });
  afterAll(async () => {
    await db?.destroy();
    await database?.drop();
  });

  const ASKED: Condition[] = [
    { event: { name: 'event-7', withinDays: 30 } },
    { event: { name: 'event-7', withinDays: 300, atLeast: 2 } },
    { not: { event: { name: 'event-7', withinDays: 90 } } },
  ];
  const plan = async (query: string, parameters: unknown[]): Promise<string> => {
    const rows: { 'QUERY PLAN': string }[] = await db.query(`explain ${query}`, parameters);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  };

  it.each(ASKED)('is counted by the index of names, without reading the events: %j', async (condition) => {
    const { of, text, parameters } = compileForEverybody(condition, { ...OPTIONS, first: 1 });
    const query =
      of === 'blocks'
        ? `select sum(bit_count(w::bit(64))) from (${text}) x`
        : `select count(*) from subscriber s where ${text}`;
    const found = await plan(query, parameters);
    expect(found).toContain('subscriber_event_name');
    expect(found).not.toContain('Seq Scan on subscriber_event');
  });

  it.each(ASKED)('is asked of a few by an index, too: %j', async (condition) => {
    const { text, parameters } = compileConditions(condition, { ...OPTIONS, first: 1 });
    const found = await plan(
      `select s.id from subscriber s where s.id between 100 and 200 and ${text}`,
      parameters,
    );
    expect(found).toMatch(/using subscriber_event_(subscriber|name)/);
    expect(found).not.toContain('Seq Scan on subscriber_event');
  });

  it('holds who did it often enough in the time', async () => {
    const ids = async (condition: Condition): Promise<number[]> => {
      const { text, parameters } = compileConditions(condition, { ...OPTIONS, first: 1 });
      const rows: { id: string }[] = await db.query(
        `select s.id from subscriber s where s.id <= 2 and ${text} order by s.id`,
        parameters,
      );
      return rows.map(({ id }) => Number(id));
    };
    await db.query('delete from subscriber_event where subscriber_id <= 2');
    for (const [id, days] of [
      [1, 1],
      [1, 5],
      [1, 40],
      [2, 3],
    ] as const)
      await db.query(
        `insert into subscriber_event (subscriber_id, name, at, created_at) values ($1, 'call', $2::timestamptz - $3 * interval '1 day', now())`,
        [id, NOW, days],
      );
    expect(await ids({ event: { name: 'call' } })).toEqual([1, 2]);
    expect(await ids({ event: { name: 'call', withinDays: 30, atLeast: 2 } })).toEqual([1]);
    expect(await ids({ event: { name: 'call', withinDays: 30, atLeast: 3 } })).toEqual([]);
    expect(await ids({ event: { name: 'call', atLeast: 3 } })).toEqual([1]);
    expect(await ids({ event: { name: 'other' } })).toEqual([]);
  });

  it.each([
    [{ event: { name: 'Booked Call' } }, 'use lower-case letters'],
    [{ event: {} }, 'name'],
    [{ event: { name: 'call', atLeast: 0 } }, 'atLeast'],
    [{ event: { name: 'call', withinDays: 3, since: '2026-01-01' } }, 'use withinDays or since, not both'],
    [{ event: { name: 'call', times: 3 } }, 'times'],
  ])('is refused where it says %j', (condition, message) => {
    const read = conditionSchema.safeParse(condition);
    expect(read.success).toBe(false);
    expect(JSON.stringify(read.error?.issues)).toContain(message);
  });
});
