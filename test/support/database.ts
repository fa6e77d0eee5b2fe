import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { DataSource } from 'typeorm';
import { inject } from 'vitest';
import { becomesTrue } from '../../src/infra/database/postmaster.js';

export interface TestDatabase {
  url: string;
  /** Removes the database. Throws when sessions are still open on it: somebody forgot to close a pool. */
  drop(): Promise<void>;
}

/** A closed session takes the server a moment to forget. */
const CLOSING_TIMEOUT_MS = 20_000;
const CLONE_ATTEMPTS = 20;
/** object_in_use: the template is being accessed by other users (PostgreSQL, appendix A). */
const OBJECT_IN_USE = '55006';

/** A database of its own for a test file, with the whole schema and no rows: a clone of the migrated template. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const [adminUrl, template]: (string | undefined)[] = [
    inject('adminDatabaseUrl'),
    inject('templateDatabase'),
  ];
  if (adminUrl === undefined || template === undefined) {
    throw new Error('This test needs the database, which WELLSPRING_TEST_NO_DB=1 has left out.');
  }
  const name = `${template}_${randomBytes(6).toString('hex')}`;
  await asAdmin(adminUrl, (client) => cloneTemplate(client, template, name));
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => asAdmin(adminUrl, (client) => dropDatabase(client, name)) };
}

async function cloneTemplate(client: Client, template: string, name: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      // FILE_COPY took half the time of WAL_LOG on 60 tables, since nothing waits for the disk here.
      await client.query(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`);
      return;
    } catch (error) {
      const inUse = error instanceof Error && 'code' in error && error.code === OBJECT_IN_USE;
      if (!inUse || attempt === CLONE_ATTEMPTS) throw error;
      await sleep(50);
    }
  }
}

async function dropDatabase(client: Client, name: string): Promise<void> {
  let sessions = await openSessions(client, name);
  await becomesTrue(async () => {
    sessions = await openSessions(client, name);
    return sessions.length === 0;
  }, CLOSING_TIMEOUT_MS);
  await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
  if (sessions.length > 0) {
    throw new Error(
      `${sessions.length} database session(s) were left open by this test file. Close every pool before drop(). ` +
        sessions.map(({ application, query }) => `[${application}] ${query}`).join('; '),
    );
  }
}

async function openSessions(client: Client, name: string): Promise<{ application: string; query: string }[]> {
  const { rows } = await client.query<{ application: string; query: string }>(
    `SELECT application_name AS application, left(query, 80) AS query
       FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`,
    [name],
  );
  return rows;
}

async function asAdmin(url: string, work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

export interface Gate {
  query(sql: string, values?: unknown[]): Promise<unknown>;
  /** Ends the transaction, which lets go of what it holds. */
  open(): Promise<void>;
}

/** A transaction beside the application that holds what the statement locks. */
export async function gate(db: DataSource, sql: string, values: unknown[] = []): Promise<Gate> {
  const runner = db.createQueryRunner();
  await runner.startTransaction();
  await runner.query(sql, values);
  return {
    query: async (more, given = []) => runner.query(more, given),
    open: async () => {
      await runner.commitTransaction();
      await runner.release();
    },
  };
}

/** Until so many sessions wait for a lock, or `ended` is settled without waiting. */
export async function untilWaiting(db: DataSource, count: number, ended?: Promise<unknown>): Promise<void> {
  let isEnded = false;
  const end = (): void => {
    isEnded = true;
  };
  ended?.then(end, end);
  const isThere = async (): Promise<boolean> => {
    const waiting: unknown[] = await db.query(
      `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
    );
    return isEnded || waiting.length >= count;
  };
  if (!(await becomesTrue(isThere, 25_000))) throw new Error(`no ${count} sessions wait for a lock`);
}
