import { PostgresBackend } from '@agendajs/postgres-backend';
import type { JobRepository } from 'agenda';
import { Client, Pool } from 'pg';
import type { Logger } from 'pino';
import { ourConnection } from '../database/our-connection.js';
import { PromptClient } from '../database/stall-watch.js';
import { describeError } from './job-runner.js';
import { CLOCK_TOLERANCE_MS, JOB_TABLE } from './job-store.js';
import type { JobStore } from './job-store.js';

/** Two connections: one holds the advisory lock while the back end uses the other; later both serve the ticks. */
const POOL_SIZE = 2;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Agenda's table beside the application's own.
 *
 * One row per name: the back end's schema has a unique index on the name of rows of type `single`, and only such
 * rows are written, so concurrent starts cannot make two. (`unique()` can: it is a SELECT followed by an INSERT.)
 * Rows of another type are not ours and would tick in addition: they are deleted.
 *
 * The back end's schema statements are not safe to run at once (`CREATE TABLE IF NOT EXISTS` and
 * `CREATE OR REPLACE FUNCTION` fail in the loser), so an advisory lock lets one process at a time through.
 *
 * The repository is used without its back end's `connect`, which would also create a table for job logs.
 */
export class PostgresJobStore implements JobStore {
  readonly name = 'PostgreSQL';
  readonly repository: JobRepository;
  readonly #pool: Pool;

  constructor(
    private readonly databaseUrl: string,
    logger: Logger,
  ) {
    this.#pool = new Pool({
      connectionString: databaseUrl,
      max: POOL_SIZE,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: 'wellspring jobs',
      Client: PromptClient,
      // A tick that a crash took back would run its job once more.
      onConnect: ourConnection(databaseUrl),
    });
    // Without a listener, losing an idle connection ends the process; the pool opens a new one by itself.
    this.#pool.on('error', (error) =>
      logger.warn({ error: describeError(error) }, 'the job store lost a connection'),
    );
    this.repository = new PostgresBackend({
      pool: this.#pool,
      tableName: JOB_TABLE,
      disableNotifications: true,
    }).repository;
  }

  async open(): Promise<void> {
    const client = await this.#pool.connect();
    try {
      await client.query('BEGIN');
      await client.query(`SELECT pg_advisory_xact_lock(hashtext('wellspring ${JOB_TABLE}'))`);
      await this.repository.connect();
      await client.query(`DELETE FROM ${JOB_TABLE} WHERE type <> 'single'`);
      await client.query('COMMIT');
      client.release();
    } catch (error) {
      // Closing the connection ends its transaction and frees the advisory lock, whatever state it is in.
      client.release(true);
      throw error;
    }
  }

  async putRow(name: string, everyMs: number): Promise<void> {
    await this.#pool.query(
      `DELETE FROM ${JOB_TABLE}
        WHERE name = $1 AND (repeat_interval IS DISTINCT FROM $2 OR next_run_at IS NULL OR disabled)`,
      [name, String(everyMs)],
    );
    await this.#pool.query(
      `INSERT INTO ${JOB_TABLE} (name, type, next_run_at, repeat_interval) VALUES ($1, 'single', $3, $2)
       ON CONFLICT (name) WHERE type = 'single' DO NOTHING`,
      // Agenda compares with this process's clock, so the server's would be a second one.
      [name, String(everyMs), new Date()],
    );
  }

  async forgetFuture(now: Date): Promise<number> {
    const { rowCount } = await this.#pool.query(
      `UPDATE ${JOB_TABLE} SET locked_at = NULL, next_run_at = $1
        WHERE locked_at > $2 OR next_run_at > $2 + repeat_interval::bigint * interval '1 millisecond'`,
      [now, new Date(now.getTime() + CLOCK_TOLERANCE_MS)],
    );
    return rowCount ?? 0;
  }

  async close(owner: string): Promise<void> {
    // Waits for statements under way, so that none of them can take a lock after the ones below are given back.
    await this.#pool.end();
    const client = new Client({
      connectionString: this.databaseUrl,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: CONNECT_TIMEOUT_MS,
    });
    client.on('error', () => {});
    await client.connect();
    try {
      await client.query(
        `UPDATE ${JOB_TABLE} SET locked_at = NULL
          WHERE last_modified_by = $1 AND locked_at IS NOT NULL
            AND (last_run_at IS NULL OR last_run_at <= last_finished_at)`,
        [owner],
      );
    } finally {
      await client.end();
    }
  }
}
