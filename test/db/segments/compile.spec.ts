import fc from 'fast-check';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataSource } from '../../../src/infra/database/migrate.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { compileConditions } from '../../../src/segments/compile.js';
import type { CompileOptions } from '../../../src/segments/compile-context.js';
import { type Condition, conditionSchema } from '../../../src/segments/condition.js';
import { FieldBlocksService } from '../../../src/segments/field-blocks.service.js';
import { compileForEverybody, type EverybodyOptions } from '../../../src/segments/compile-for-everybody.js';
import { meets, type PersonFacts, type Reading } from '../../../src/segments/meets.js';
import { fieldProblemsOf } from '../../../src/segments/segment-fields.js';
import { FieldsService } from '../../../src/subscribers/fields.service.js';
import { FixedClock } from '../../support/clock.js';
import { createTestDatabase, gate, type TestDatabase } from '../../support/database.js';
import { DEFINITIONS, instant, NOW, OWNER_ZONES, person, type Person, seedPeople, TESTS } from './people.js';
import { tree } from './trees.js';

const PEOPLE = 150;
const TREES = 250;

let database: TestDatabase;
let db: DataSource;
let people: (Person & { id: string })[];

beforeAll(async () => {
  database = await createTestDatabase();
  db = await openDataSource(database.url);
  // Ids with gaps of whole blocks between them, as imports of addresses that are there already leave them.
  await db.query(
    `create function spread() returns trigger language plpgsql as
       $$ begin new.id := new.id + new.id / 20 * 200; return new; end $$;
     create trigger spread before insert on subscriber for each row execute function spread()`,
  );
  const drawn = fc.sample(person, { numRuns: PEOPLE, seed: 20_260_302 });
  const ids = await seedPeople(db, drawn);
  people = drawn.map((one, index) => ({
    ...one,
    email: one.email.replace('@', `${index}@`),
    id: ids[index] ?? '',
  }));
  // Hits outlive people: of some between the ids of others, and behind the last.
  await db.query(
    `insert into tracking_event (kind, message_id, class, reason, rule_version, at, subscriber_id)
     select e.kind, e.message_id, e.class, e.reason, e.rule_version, e.at, e.subscriber_id + more
     from tracking_event e, unnest(array[100, 100000]) more`,
  );
  await leaveSomeBlocksBehind();
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

/** Blocks hold what people had before; then what half of them have now, and fields that were defined since. */
async function leaveSomeBlocksBehind(): Promise<void> {
  const define = async (keys: readonly string[]): Promise<void> => {
    for (const { key, label, type, choices } of DEFINITIONS.values())
      if (keys.includes(key))
        await db.query(
          'insert into subscriber_field (key, label, type, choices, created_at) values ($1, $2, $3, $4, now())',
          [key, label, type, JSON.stringify(choices)],
        );
  };
  const setBack = async (half: 0 | 1): Promise<unknown> =>
    db.query(
      'update subscriber s set fields = k.fields from kept k where k.id = s.id and s.id / 220 % 2 = $1',
      [half],
    );
  const blocks = new FieldBlocksService(db);
  await db.query(
    `create table kept as select id, fields from subscriber;
     update subscriber set fields = case id % 3 when 0 then '{}' else '{"age": 5, "plan": "pro", "birthday": "2026-03-03"}'::jsonb end`,
  );
  await define(['age', 'plan']);
  await blocks.renew();
  await setBack(0);
  await define(['birthday', 'vip', 'size']);
  await blocks.renew();
  await setBack(1);
}

const READING: Reading = { now: NOW, zone: 'UTC', typeOf: ({ field }) => DEFINITIONS.get(field)?.type };

/** As the rows say it: ids of broadcasts count from 1, and a sequence has the key of its funnel. */
function factsOf({ mails, enrollments, arms, ...one }: Person): PersonFacts {
  return {
    ...one,
    mails: mails.map((mail) => ({
      ...mail,
      broadcast: mail.broadcast === null ? null : String(mail.broadcast + 1),
    })),
    enrollments: enrollments.map((own) => ({ ...own, sequence: own.funnel })),
    // Later tests have higher places; only who is in a sequence was drawn.
    arms:
      enrollments.length === 0
        ? []
        : arms.toSorted((a, b) => a.test - b.test).map(({ test, arm }) => ({ test: TESTS[test] ?? '', arm })),
  };
}

const OPTIONS = {
  definitions: DEFINITIONS,
  now: NOW,
  zone: 'UTC',
  first: 1,
  fieldBlocks: true,
  gaps: [],
  middleSignUp: NOW,
};

async function idsOfEverybody(
  condition: Condition,
  given: Partial<EverybodyOptions> = {},
): Promise<string[]> {
  const options = { ...OPTIONS, ...given };
  const { of, text, parameters } = compileForEverybody(condition, options);
  const rows: { id: string }[] = await db.query(
    of === 'blocks'
      ? `select (b << 6) + i as id from (${text}) x cross join generate_series(0, 63) i where (w >> i) & 1 = 1 order by 1`
      : `select s.id from subscriber s where ${text} order by s.id`,
    parameters,
  );
  return rows.map(({ id }) => id);
}

async function idsByIndex(
  condition: Condition,
  given: Partial<Pick<CompileOptions, 'asOf' | 'zone'>> = {},
): Promise<string[]> {
  const { text, parameters } = compileConditions(condition, { ...OPTIONS, ...given, first: 2 });
  const rows: { id: string }[] = await db.query(
    `select s.id from subscriber s where s.id > $1 and ${text} order by s.id`,
    ['0', ...parameters],
  );
  return rows.map(({ id }) => id);
}

describe('the SQL of a segment', () => {
  it('finds the same people as a plain reading of the conditions, whatever the tree, in every form', async () => {
    const sizes: number[] = [];
    await fc.assert(
      fc.asyncProperty(
        tree,
        fc.option(instant),
        fc.constantFrom(...OWNER_ZONES),
        async (drawn, middleSignUp, zone) => {
          const condition = conditionSchema.parse(drawn);
          expect(fieldProblemsOf(condition, DEFINITIONS)).toEqual([]);
          const expected = people
            .filter((one) => meets(factsOf(one), condition, { ...READING, zone }))
            .map(({ id }) => id);
          sizes.push(expected.length);
          expect(await idsByIndex(condition, { zone })).toEqual(expected);
          expect(await idsOfEverybody(condition, { zone, fieldBlocks: false, middleSignUp })).toEqual(
            expected,
          );
          expect(await idsOfEverybody(condition, { zone, middleSignUp })).toEqual(expected);
          const [from = '0', below = '0'] = [people[20]?.id, people[90]?.id];
          const between = expected.filter((id) => Number(id) >= Number(from) && Number(id) < Number(below));
          expect(await idsOfEverybody(condition, { zone, range: { from, below } })).toEqual(between);
        },
      ),
      { numRuns: TREES },
    );
    // A property over trees that find nobody, or everybody, would show nothing.
    const telling = sizes.filter((size) => size > 0 && size < PEOPLE).length;
    expect(telling / sizes.length).toBeGreaterThan(0.5);
  });

  it.each<Condition>([
    ...[{ tag: 'a' }, { list: 'news' }, { purchased: {} }, { purchased: { product: 'kit' } }],
    ...[{ member: { is: 'ever' as const } }, { affiliate: 'any' }, { funnel: 'f1' }, { form: 'form1' }],
    ...[{ split: { funnel: 'f1', step: 's1', arm: 'a' } }, { split: { broadcast: '1', arm: 'a' } }],
    ...[{ sequence: { key: 'f1', is: 'ever' as const } }, { sequence: { key: 'f1', is: 'active' as const } }],
    ...[{ event: { name: 'visited' } }, { event: { name: 'visited', atLeast: 2 } }],
    ...[{ opened: {} }, { clicked: { funnel: 'f1' } }, { received: {} }],
  ])('counts as of a time nothing that came later: %j', async (condition) => {
    const found = await idsByIndex(condition);
    expect(found.length).toBeGreaterThan(0);
    expect(await idsByIndex(condition, { asOf: new Date('1990-01-01') })).toEqual([]);
    expect(await idsByIndex(condition, { asOf: new Date('2200-01-01') })).toEqual(found);
  });

  it.each([
    { tag: `'); drop table subscriber; --` },
    { field: 'name', op: 'is' as const, value: `' or '1'='1` },
    { field: 'plan', op: 'contains' as const, value: `$1; select pg_sleep(9) --` },
    { field: 'plan', op: 'oneOf' as const, value: [`{"a"}`, `x' or true --`] },
  ])('takes what was typed as data: %j', async (condition) => {
    for (const { text } of [compileConditions(condition, OPTIONS), compileForEverybody(condition, OPTIONS)])
      for (const typed of ['drop', 'sleep', '1=', 'or true']) expect(text).not.toContain(typed);
    const expected = people.filter((one) => meets(factsOf(one), condition, READING)).map(({ id }) => id);
    expect(await idsByIndex(condition)).toEqual(expected);
    expect(await idsOfEverybody(condition)).toEqual(expected);
  });

  it.each<Condition>([
    { clicked: { withinDays: 30 } },
    { field: 'age', op: 'above', value: 3 },
    { field: 'plan', op: 'contains', value: 'ro' },
    { all: [{ any: [{ tag: 'a' }, { opened: {} }] }, { not: { field: 'age', op: 'below', value: 5 } }] },
  ])(
    'lets several processes share a count that one alone took longer than 300 ms for: %j',
    async (condition) => {
      const runner = db.createQueryRunner();
      await runner.startTransaction();
      try {
        // Has another process run whatever may be run by one.
        await runner.query(
          `select set_config(name, 'on', true) from pg_settings where name in ('debug_parallel_query', 'force_parallel_mode')`,
        );
        const { of, text, parameters } = compileForEverybody(condition, OPTIONS);
        expect(of).toBe('blocks');
        const rows: Record<string, string>[] = await runner.query(`explain ${text}`, parameters);
        expect(rows[0]?.['QUERY PLAN']).toMatch(/^Gather/);
      } finally {
        await runner.rollbackTransaction();
        await runner.release();
      }
    },
  );

  it('reads each set once while statistics are behind: a count of two tags ran into its time limit', async () => {
    const runner = db.createQueryRunner();
    await runner.startTransaction();
    try {
      // So many tags of one person each that any other tag is taken for one of those.
      await runner.query(
        `delete from subscriber_tag;
         insert into tag (name, created_at) select 'rare-' || n, now() from generate_series(1, 100) n;
         insert into subscriber_tag select (select min(id) from subscriber), id, now() from tag where name like 'rare-%';
         analyze subscriber_tag;
         insert into tag (name, created_at) values ('all', now()), ('half', now());
         insert into subscriber_tag select s.id, t.id, now() from subscriber s join tag t on t.name = 'all' or (t.name = 'half' and s.id % 2 = 0)`,
      );
      const tags = [{ tag: 'all' }, { not: { tag: 'half' } }];
      for (const all of [tags, [...tags, { status: ['active' as const] }]]) {
        const { of, text, parameters } = compileForEverybody({ all }, OPTIONS);
        const query = of === 'blocks' ? text : `select count(*) from subscriber s where ${text}`;
        const [explained] = await runner.query(`explain (analyze, format json) ${query}`, parameters);
        const loops = loopsOf(explained['QUERY PLAN'][0].Plan);
        expect(loops.length).toBeGreaterThan(3);
        expect(Math.max(...loops)).toBe(1);
      }
    } finally {
      await runner.rollbackTransaction();
      await runner.release();
    }
  });
});

describe('blocks of field values', () => {
  const blocks = (): FieldBlocksService => new FieldBlocksService(db);
  const held = async (value: string): Promise<number> =>
    (await db.query('select from field_block where $1 = any (texts)', [value])).length;
  const somebodyWaits = async (): Promise<boolean> =>
    (
      await db.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
    ).length > 0;
  const planIs = (value: string) => ({ field: 'plan', op: 'is' as const, value });

  it('never answer for a change that was under way while they were renewed', async () => {
    const [id] = people.map((one) => one.id);
    const change = await gate(db, `update subscriber set fields = '{"plan": "under way"}' where id = $1`, [
      id,
    ]);
    await blocks().renew();
    expect(await db.query('select from stale_block')).toEqual([]);
    expect(await idsOfEverybody(planIs('under way'))).toEqual([]);
    await change.open();
    expect(await held('under way')).toBe(0);
    expect(await idsOfEverybody(planIs('under way'))).toEqual([id]);
    await blocks().renew();
    expect(await held('under way')).toBe(1);
    expect(await idsOfEverybody(planIs('under way'))).toEqual([id]);
  });

  it('are marked once for a batch of people, and not where no field changed', async () => {
    await blocks().renew();
    await db.query('update subscriber set updated_at = now()');
    expect(await db.query('select from stale_block')).toEqual([]);
    await db.query(`update subscriber set fields = fields || jsonb_build_object('lot', id)`);
    const [{ marks, all }] = await db.query(
      `select (select count(*) from stale_block) as marks, (select count(distinct id >> 6) from subscriber) as all`,
    );
    expect(marks).toBe(all);
    // Each is marked twice now.
    await db.query(`update subscriber set fields = fields - 'lot'`);
    await blocks().renew();
    expect(await db.query('select from stale_block')).toEqual([]);
  });

  it('count who got a value while the field was defined', async () => {
    const [id = '', other = ''] = people.map((one) => one.id);
    const late = { key: 'late', label: 'Late', type: 'text' as const, choices: [] };
    const definitions = new Map([...DEFINITIONS, ['late', late]]);
    const found = async () => idsOfEverybody({ field: 'late', op: 'is', value: 'x' }, { definitions });
    await blocks().renew();
    const give = `update subscriber set fields = fields || '{"late": "x"}' where id = $1`;
    const writer = await gate(db, give, [id]);
    const definer = await gate(
      db,
      `insert into subscriber_field (key, label, type, choices, created_at) values ('late', 'Late', 'text', '[]', now())`,
    );
    await writer.open();
    await blocks().renew();
    await definer.open();
    expect(await found()).toEqual([id]);
    await blocks().renew();
    expect(await found()).toEqual([id]);

    // And while the field is removed, an erasure of somebody goes through.
    const [field] = await db.query(`select id from subscriber_field where key = 'late'`);
    await db.query(give, [other]);
    await blocks().renew();
    const erasure = await gate(db, 'select from subscriber where id = $1 for update', [other]);
    const removed = new FieldsService(db, new FixedClock(NOW)).remove(field.id);
    expect(await becomesTrue(somebodyWaits, 20_000)).toBe(true);
    await erasure.query('insert into stale_block (block) values ($1::bigint >> 6)', [other]);
    await erasure.query('delete from field_block where block = $1::bigint >> 6', [other]);
    await erasure.open();
    await removed;
    expect(await db.query(`select from subscriber where fields ? 'late'`)).toEqual([]);
  });

  it('keep nothing of who is erased, nor of a field that is removed', async () => {
    const [id] = await db.query(
      `insert into subscriber (email, email_key, status, fields, created_at, updated_at)
       values ('new@example.com', 'new@example.com', 'active', '{"plan": "secret", "size": "M"}', now(), now()) returning id`,
    );
    expect(await idsOfEverybody(planIs('secret'))).toEqual([id.id]);
    await blocks().renew();
    expect(await held('secret')).toBe(1);
    await db.query('delete from subscriber where id = $1', [id.id]);
    expect(await held('secret')).toBe(0);
    expect(await idsOfEverybody(planIs('secret'))).toEqual([]);
    await blocks().renew();
    const before = await db.query('select from field_block');
    await db.query(`delete from subscriber_field where key = 'size'`);
    expect((await db.query('select from field_block')).length).toBeLessThan(before.length);
  });
});

interface PlanNode {
  'Actual Loops': number;
  Plans?: PlanNode[];
}

/** How often each part of a plan was run. */
function loopsOf(plan: PlanNode): number[] {
  return [plan['Actual Loops'], ...(plan.Plans ?? []).flatMap(loopsOf)];
}
