import { setTimeout as sleep } from 'node:timers/promises';
import { DataSource, MigrationExecutor } from 'typeorm';
import { dataSourceOptions } from '../../../config/data-source.js';
import { DomainError } from '../../values/domain-error.js';
import { isLockedOut } from './deadlock.js';
import { LOCKS } from './advisory-locks.js';

/** Throws `DATABASE_UNREACHABLE` without the address, which holds a password. */
export async function openDataSource(url: string): Promise<DataSource> {
  const dataSource = new DataSource(dataSourceOptions(url));
  try {
    return await dataSource.initialize();
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new DomainError(
      'DATABASE_UNREACHABLE',
      `DATABASE_URL: PostgreSQL does not answer (${reason})`,
      {},
      { cause },
    );
  }
}

/** A name with several addresses, such as `localhost`, fails with one error for each, and words in those alone. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join(', ');
  return cause instanceof Error ? cause.message : String(cause);
}

interface Patience {
  /** How long a migration waits for a lock, and all who come later behind it. */
  lockMs: number;
  /** Until the next try: who waited gets on meanwhile. */
  pauseMs: number;
  /** How often it is tried. */
  attempts: number;
}

/** An import of an older process holds its locks for a second or two at a time. */
const PATIENCE: Patience = { lockMs: 3_000, pauseMs: 2_000, attempts: 120 };

/**
 * Brings the schema up to date and returns the names of the migrations that ran now. Each is one transaction, and one
 * that cannot have its locks soon is taken back and tried again: while it waits for an older process that works on a
 * table, all others wait for that table behind it. Throws `DATABASE_BUSY` when that does not help; what ran stays. Throws
 * `DATABASE_NEWER` where a newer version has been at work.
 */
export async function migrate(dataSource: DataSource, patience: Patience = PATIENCE): Promise<string[]> {
  const lock = dataSource.createQueryRunner();
  const runner = dataSource.createQueryRunner();
  await lock.connect();
  await runner.connect();
  try {
    await lock.query('select pg_advisory_lock($1)', [LOCKS.migration]);
    await runner.query(`select set_config('lock_timeout', $1, false)`, [`${patience.lockMs}ms`]);
    const executor = new MigrationExecutor(dataSource, runner);
    executor.transaction = 'each';
    refuseNewer(dataSource, await executor.getExecutedMigrations());
    const names = (await executor.getPendingMigrations()).map(({ name }) => name);
    await tryOften(() => executor.executePendingMigrations(), patience);
    return names;
  } finally {
    await runner.query('reset lock_timeout').catch(() => undefined);
    await runner.release();
    await lock.query('select pg_advisory_unlock($1)', [LOCKS.migration]).catch(() => undefined);
    await lock.release();
  }
}

/** An older version would pass over what the newer one writes down, such as the hours at which a mail may go. */
function refuseNewer(dataSource: DataSource, executed: readonly { name: string }[]): void {
  const known = new Set(dataSource.migrations.map(({ name, constructor }) => name ?? constructor.name));
  const unknown = executed.map(({ name }) => name).filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new DomainError(
    'DATABASE_NEWER',
    `a newer version of Wellspring has worked on this database: start that one, or restore the backup from before it (unknown here: ${unknown.join(', ')})`,
    { unknown },
  );
}

async function tryOften(work: () => Promise<unknown>, { pauseMs, attempts }: Patience): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (!isLockedOut(error)) throw error;
      if (attempt < attempts) await sleep(pauseMs);
      else {
        const message =
          'a migration cannot have the locks it needs, since another process works on its table without a pause: end that process and start again';
        throw new DomainError('DATABASE_BUSY', message, { attempts }, { cause: error });
      }
    }
  }
}
