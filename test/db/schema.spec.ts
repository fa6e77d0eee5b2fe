import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DataSource } from 'typeorm';
import { openDataSource } from '../../src/infra/database/migrate.js';
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
    ) parts where t not like 'agenda%' order by t, kind, n, line`);
  await expect(`${lines.map(({ line }) => line).join('\n')}\n`).toMatchFileSnapshot('../fixtures/schema.txt');
});
