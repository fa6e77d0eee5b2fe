import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { DataSource, EntityManager } from 'typeorm';
import { inject } from 'vitest';
import { becomesTrue } from '../../src/infra/database/postmaster.js';

export interface TestDatabase {
  url: string;
  /** Removes the database. Throws when sessions are still open on it after that time: somebody forgot to close a pool. */
  drop(closingMs?: number): Promise<void>;
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
  return {
    url: url.href,
    drop: (closingMs = CLOSING_TIMEOUT_MS) =>
      asAdmin(adminUrl, (client) => dropDatabase(client, name, closingMs)),
  };
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

async function dropDatabase(client: Client, name: string, closingMs: number): Promise<void> {
  let sessions = await openSessions(client, name);
  await becomesTrue(async () => {
    sessions = await openSessions(client, name);
    return sessions.length === 0;
  }, closingMs);
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

/** Above it `truncate` is quicker, and leaves nothing behind for the next to read past. */
const MOST_DELETED_BYTES = 2 * 2 ** 20;
/** Tables that go with one that `truncate` empties, by the tables it was asked for. The schema is one for the whole run. */
const closures = new Map<string, { names: string[]; mayDelete: boolean }>();

/**
 * Does what `truncate TABLES cascade` does, by deleting rows where there are any: a file of its own is made anew for
 * each table and index that is truncated, empty ones too, which are some three hundred for `subscriber`.
 */
export async function empty(db: DataSource, tables: string): Promise<void> {
  await db.transaction(async (manager) => {
    const { names, mayDelete } = await closureOf(manager, tables);
    const truncate = `truncate ${tables} cascade`;
    if (!mayDelete) return manager.query(truncate);
    // As `truncate` does: what others are about to write is waited for, and what they write next comes after.
    await manager.query(`lock table ${names.join(', ')} in access exclusive mode`);
    const filled: { name: string; bytes: string }[] = await manager.query(
      names
        .map(
          (name) =>
            `select '${name}' as name, pg_relation_size('${name}') as bytes where exists (select 1 from ${name})`,
        )
        .join(' union all '),
    );
    if (filled.some(({ bytes }) => Number(bytes) > MOST_DELETED_BYTES)) return manager.query(truncate);
    // All that refers to a row goes with it, so no key has to be looked up.
    const deletes = filled.map(({ name }) => `delete from ${name};`);
    await manager.query(`set local session_replication_role = replica; ${deletes.join(' ')}`);
  });
}

async function closureOf(
  manager: EntityManager,
  tables: string,
): Promise<{ names: string[]; mayDelete: boolean }> {
  const known = closures.get(tables);
  if (known !== undefined) return known;
  const found: { name: string; isSuper: boolean; others: string }[] = await manager.query(
    `with recursive closure as (
       select x::regclass as id from unnest($1::text[]) x
       union select c.conrelid::regclass from pg_constraint c join closure on c.confrelid = closure.id where c.contype = 'f')
     select id::text as name, current_setting('is_superuser') = 'on' as "isSuper",
       (select count(*) from pg_trigger t where t.tgtype & 32 <> 0 and t.tgname <> 'no_blocks') as others from closure`,
    [tables.split(',').map((name) => name.trim())],
  );
  const names = found.map(({ name }) => name);
  // What the trigger no_blocks does.
  if (names.includes('subscriber')) names.push('field_block', 'stale_block');
  const closure = {
    names: [...new Set(names)],
    mayDelete: found.every(({ isSuper, others }) => isSuper && others === '0'),
  };
  closures.set(tables, closure);
  return closure;
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
