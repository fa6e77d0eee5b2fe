import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '../../config/data-source.js';
import { migrate } from '../../src/infra/database/migrate.js';
import { migrations } from '../../src/infra/database/migrations.js';
import { createTestDatabase, type TestDatabase } from './database.js';

/** The last migration of release 0.10.0. */
const LAST_OF_RELEASE = 1765420000000;
/** Of the installation that made the rows. */
export const SECRET_KEY = 'k'.repeat(40);

interface Rows {
  /** What stands in mails that it has sent, by what it is for. */
  links: Record<'confirm' | 'leave' | 'click' | 'preferences', string>;
  rows: Record<string, object[]>;
}

export interface OlderDatabase extends TestDatabase {
  links: Rows['links'];
}

/**
 * A database as release 0.10.0 left it on the morning of 7 January 2026, in the middle of its work; `test/fixtures` has the rows
 * that its own code wrote.
 */
export async function openOlderDatabase(): Promise<OlderDatabase> {
  const database = await createTestDatabase();
  const older = migrations.filter(({ name }) => Number(name.slice(-13)) <= LAST_OF_RELEASE);
  const dataSource = new DataSource({ ...dataSourceOptions(database.url, 3), migrations: older });
  await dataSource.initialize();
  try {
    await dataSource.query('drop schema public cascade; create schema public');
    await migrate(dataSource);
    const { rows, links } = await rowsOfRelease();
    await dataSource.transaction(async (manager) => {
      // In whatever order the tables stand.
      await manager.query('set local session_replication_role = replica');
      for (const [table, given] of Object.entries(rows)) {
        // What the migrations have put there themselves is among them.
        await manager.query(`delete from ${table}`);
        await manager.query(
          `insert into ${table} overriding system value select * from jsonb_populate_recordset(null::${table}, $1)`,
          [JSON.stringify(given)],
        );
      }
      // Else this would be a copy, which sends nothing before its owner's word.
      await manager.query(
        `update setting set updated_at = clock_timestamp(), value = jsonb_set(value, '{fingerprint}', jsonb_build_object('table', tableoid::text, 'timeline', 1,
           'database', (select oid::text from pg_database where datname = current_database()),
           'system', (select system_identifier::text from pg_control_system()))) where key = 'ledger.generation'`,
      );
      const counted: { table: string; sequence: string }[] = await manager.query(
        `select table_name as table, pg_get_serial_sequence(table_name, 'id') as sequence from information_schema.columns
         where table_schema = 'public' and column_name = 'id' and pg_get_serial_sequence(table_name, 'id') is not null`,
      );
      for (const { table, sequence } of counted)
        await manager.query(`select setval($1, max(id)) from ${table} having max(id) is not null`, [
          sequence,
        ]);
    });
    return { ...database, links };
  } finally {
    await dataSource.destroy();
  }
}

async function rowsOfRelease(): Promise<Rows> {
  return JSON.parse(gunzipSync(await readFile('test/fixtures/rows-of-0.10.0.json.gz')).toString()) as Rows;
}
