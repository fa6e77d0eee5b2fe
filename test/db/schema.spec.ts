import { afterAll, beforeAll, expect, it } from 'vitest';
import { DataSource, type QueryRunner } from 'typeorm';
import { dataSourceOptions } from '../../config/data-source.js';
import { migrate, openDataSource } from '../../src/infra/database/migrate.js';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let dataSource: DataSource;
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  dataSource = await openDataSource(database.url);
});
afterAll(async () => {
  await dataSource.destroy();
  await database.drop();
});

/** `npm run schema:dump` writes the file anew; a review then sees what a migration did to the schema. */
it('is the schema that test/fixtures/schema.txt shows', async () => {
  const lines: { line: string }[] = await dataSource.query(`
    select line from (
      select table_name as t, 1 as kind, ordinal_position::int as n,
        format('%s.%s %s%s%s', table_name, column_name, data_type, case when is_nullable = 'NO' then ' not null' else '' end,
          coalesce(' default ' || column_default, '')) as line
      from information_schema.columns where table_schema = 'public'
      union all
      select conrelid::regclass::text, 2, 0, format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid))
      from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
      union all
      select tablename, 3, 0, indexdef from pg_indexes where schemaname = 'public'
      union all
      select relname, 4, 0, format('%s: WITH (%s)', relname, array_to_string(reloptions, ', '))
      from pg_class where relkind = 'r' and reloptions is not null and relnamespace = 'public'::regnamespace
    ) parts where t not like 'agenda%' order by t, kind, n, line`);
  await expect(`${lines.map(({ line }) => line).join('\n')}\n`).toMatchFileSnapshot('../fixtures/schema.txt');
});

it('lets others go on while a migration waits for a table that an older process works on', async () => {
  class Strong1900000000000 {
    async up(runner: QueryRunner): Promise<void> {
      await runner.query('alter table setting add column trial int');
    }
    async down(): Promise<void> {}
  }
  const next = new DataSource({
    ...dataSourceOptions(database.url, 3),
    ...{ migrations: [Strong1900000000000], migrationsTableName: 'schema_migration_trial' },
  });
  await next.initialize();
  const older = dataSource.createQueryRunner();
  await older.startTransaction();
  await older.query('lock table setting in row exclusive mode');
  const short = { lockMs: 20, pauseMs: 200, attempts: 1 };
  await expect(migrate(next, short)).rejects.toMatchObject({ code: 'DATABASE_BUSY' });

  // It waits for most of the time, so whoever looks sees it.
  const done = migrate(next, { lockMs: 500, pauseMs: 50, attempts: 1_000 });
  const tried = async (): Promise<boolean> => {
    const [{ waits }]: [{ waits: boolean }] = await dataSource.query(
      `select exists (select from pg_locks where relation = 'setting'::regclass and not granted) as waits`,
    );
    return waits;
  };
  expect(await becomesTrue(tried, 20_000)).toBe(true);
  await dataSource.query(`insert into setting (key, value, updated_at) values ('meanwhile', '1', now())`);
  await older.commitTransaction();
  await older.release();
  expect(await done).toEqual(['Strong1900000000000']);
  await dataSource.query('alter table setting drop column trial; drop table schema_migration_trial');
  await next.destroy();
});

it('does not start where a newer version has been at work: it went on beside what it knows nothing of', async () => {
  const columns = await dataSource.query(`select * from schema_migration order by id desc limit 1`);
  await dataSource.query(
    `insert into schema_migration (timestamp, name) values (1900000000000, 'Later1900000000000')`,
  );
  try {
    await expect(migrate(dataSource)).rejects.toMatchObject({
      code: 'DATABASE_NEWER',
      message: expect.stringContaining('a newer version of Wellspring has worked on this database') as string,
      facts: { unknown: ['Later1900000000000'] },
    });
  } finally {
    await dataSource.query(`delete from schema_migration where name = 'Later1900000000000'`);
  }
  expect(await migrate(dataSource)).toEqual([]);
  expect(await dataSource.query(`select * from schema_migration order by id desc limit 1`)).toEqual(columns);
});
