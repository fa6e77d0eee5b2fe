import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DataSource } from 'typeorm';
import { openDataSource } from '../../../src/infra/database/migrate.js';
import { compileConditions } from '../../../src/segments/compile.js';
import { type Condition, conditionSchema } from '../../../src/segments/condition.js';
import { compileForEverybody, type EverybodyOptions } from '../../../src/segments/compile-for-everybody.js';
import { SegmentsQueries } from '../../../src/segments/segments.queries.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { DEFINITIONS, NOW, person, seedPeople } from './people.js';
import { tree } from './trees.js';

const PEOPLE = 120;
const TREES = 50;
/** As after a backup was restored, and that was confirmed three minutes later; then the next one. */
const MOVED = [0n, 1_796_000_000_000_123n, 1_796_000_180_000_123n, 1_796_600_000_000_000n];
/** Between those of before and the first of after. */
const BEFORE_ALL_MOVED = '1795999999996123';

let database: TestDatabase;
let db: DataSource;
let ids: string[];
beforeAll(async () => {
  database = await createTestDatabase();
  db = await openDataSource(database.url);
  await db.query(
    `create function move() returns trigger language plpgsql as
       $$ begin new.id := (array[${MOVED.join(', ')}])[1 + new.id % ${MOVED.length}] + new.id * 7; return new; end $$;
     create trigger move before insert on subscriber for each row execute function move()`,
  );
  ids = await seedPeople(db, fc.sample(person, { numRuns: PEOPLE, seed: 20_261_127 }));
  // Hits outlive people: of some behind the last of each piece.
  await db.query(
    `insert into tracking_event (kind, message_id, class, reason, rule_version, at, subscriber_id)
     select e.kind, e.message_id, e.class, e.reason, e.rule_version, e.at, e.subscriber_id + more
     from tracking_event e, unnest(array[100, 50000, 500000000]) more`,
  );
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

async function idsOf({ of, text, parameters }: ReturnType<typeof compileForEverybody>): Promise<string[]> {
  const rows: { id: string }[] = await db.query(
    of === 'blocks'
      ? `select (b << 6) + i as id from (${text}) x cross join generate_series(0, 63) i where (w >> i) & 1 = 1 order by 1`
      : `select s.id from subscriber s where ${text} order by s.id`,
    parameters,
  );
  return rows.map(({ id }) => id);
}

it('finds everybody where a restored backup has moved their numbers on: a bit for each in between was terabytes', async () => {
  const { gaps } = await new SegmentsQueries(db).crowd();
  expect(gaps).toHaveLength(3);
  const options: EverybodyOptions = {
    ...{ definitions: DEFINITIONS, now: NOW, zone: 'UTC', first: 1 },
    ...{ fieldBlocks: false, middleSignUp: NOW, gaps },
  };
  const known = ids.toSorted((a, b) => Number(a) - Number(b));
  const bounds = [known[10] ?? '', known[PEOPLE - 40] ?? '', BEFORE_ALL_MOVED, '1'];
  await fc.assert(
    fc.asyncProperty(
      tree,
      fc.constantFrom(...bounds),
      fc.constantFrom(...bounds),
      async (drawn, one, two) => {
        const condition: Condition = conditionSchema.parse(drawn);
        const plain = compileConditions(condition, options);
        const expected = await idsOf({ of: 'rows', ...plain });
        expect(await idsOf(compileForEverybody(condition, options))).toEqual(expected);
        if (Number(one) >= Number(two)) return;
        const range = { from: one, below: two };
        expect(await idsOf(compileForEverybody(condition, { ...options, range }))).toEqual(
          expected.filter((id) => Number(id) >= Number(one) && Number(id) < Number(two)),
        );
      },
    ),
    { numRuns: TREES },
  );
});
