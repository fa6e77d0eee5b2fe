import { DataSource } from 'typeorm';
import { dataSourceOptions } from '../../../config/data-source.js';
import { DomainError } from '../../values/domain-error.js';

/** Any constant; held while migrating, so that processes that start together migrate one after the other. */
const MIGRATION_LOCK = 7_311_402_615;

/** Throws `DATABASE_UNREACHABLE` without the address, which holds a password. */
export async function openDataSource(url: string): Promise<DataSource> {
  const dataSource = new DataSource(dataSourceOptions(url));
  try {
    return await dataSource.initialize();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError(
      'DATABASE_UNREACHABLE',
      `DATABASE_URL: PostgreSQL does not answer (${reason})`,
      {},
      { cause },
    );
  }
}

/** Brings the schema up to date and returns the names of the migrations that ran now. */
export async function migrate(dataSource: DataSource): Promise<string[]> {
  const lock = dataSource.createQueryRunner();
  await lock.connect();
  try {
    await lock.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    return (await dataSource.runMigrations()).map(({ name }) => name);
  } finally {
    await lock.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(() => undefined);
    await lock.release();
  }
}
