import type { ClientBase } from 'pg';
import type { DataSource } from 'typeorm';
import { openConnections } from './open-connections.js';

/**
 * For every pool whose commits are promises: a mail that may go, an order that was taken. A server, database or account
 * may be set to answer a commit before it is on disk; then a power cut takes back what was promised, and mails go out
 * twice. Anything stronger than `off` is kept: that is the owner's choice about standbys.
 */
export async function commitDurably(client: ClientBase): Promise<void> {
  await client.query(
    `select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'`,
  );
}

/**
 * So many connections are looked at, each in a transaction at the same time, as a pooler of transactions cannot serve them by
 * one; fewer where PostgreSQL has no place for more.
 */
const LOOKED_AT = 4;

type Database = Pick<DataSource, 'query' | 'createQueryRunner'>;

/** Settings of this PostgreSQL that let a crash take back what was committed, in words; [] when a commit lasts. */
export async function durabilityProblems(dataSource: Database): Promise<string[]> {
  const off: { name: string }[] = await dataSource.query(
    `select name from pg_settings where name in ('fsync', 'full_page_writes') and setting = 'off'`,
  );
  const isOff = (setting: string): boolean => off.some(({ name }) => name === setting);
  const problems: string[] = [];
  if (isOff('fsync')) problems.push('fsync is off: a power cut may destroy the database. Set fsync = on');
  if (isOff('full_page_writes'))
    problems.push(
      'full_page_writes is off: a power cut may leave half-written pages. Set full_page_writes = on, unless the file system rules that out',
    );
  const looked = await asUsed(dataSource);
  const undone = looked.filter(({ setting }) => setting === 'off').length;
  if (undone > 0)
    problems.push(
      `synchronous_commit is off on ${undone} of ${looked.length} connections although Wellspring sets it on, as behind a pooler of transactions: a crash may take back which mails were sent. Set it on for this account: alter role ... set synchronous_commit = on`,
    );
  return problems;
}

/** What `doctor` says when there is nothing wrong. */
export async function durabilityInWords(dataSource: Database): Promise<string> {
  const problems = await durabilityProblems(dataSource);
  if (problems.length > 0) throw new Error(problems.join('; '));
  const given = (await asUsed(dataSource)).some(({ reset }) => reset === 'off');
  return `a commit is on disk before it is answered${given ? ': synchronous_commit is off for this account, and Wellspring sets it on for each of its connections' : ''}`;
}

/** `synchronous_commit` on connections as the application uses them; `reset`: what they had before we set it. */
async function asUsed(dataSource: Database): Promise<{ setting: string; reset: string }[]> {
  // All before the first transaction: a pooler may prepare one server connection for each of them.
  const runners = await openConnections(dataSource, { most: LOOKED_AT, fewest: 1 });
  try {
    for (const runner of runners) await runner.startTransaction();
    const seen: { setting: string; reset: string }[] = [];
    for (const runner of runners)
      seen.push(
        ...(await runner.query(
          `select setting, reset_val as reset from pg_settings where name = 'synchronous_commit'`,
        )),
      );
    for (const runner of runners) await runner.rollbackTransaction();
    return seen;
  } finally {
    for (const runner of runners) await runner.release();
  }
}
