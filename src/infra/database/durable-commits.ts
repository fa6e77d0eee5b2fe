import type { ClientBase } from 'pg';
import type { DataSource } from 'typeorm';

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

interface Setting {
  name: string;
  setting: string;
  /** Of a connection that nobody has changed. */
  reset: string;
}

/** Settings of this PostgreSQL that let a crash take back what was committed, in words; [] when a commit lasts. */
export async function durabilityProblems(dataSource: Pick<DataSource, 'query'>): Promise<string[]> {
  const rows: Setting[] = await dataSource.query(
    `select name, setting, reset_val as reset from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')`,
  );
  const at = (name: string): Setting | undefined => rows.find((row) => row.name === name);
  const problems: string[] = [];
  if (at('fsync')?.setting === 'off')
    problems.push('fsync is off: a power cut may destroy the database. Set fsync = on');
  if (at('full_page_writes')?.setting === 'off')
    problems.push(
      'full_page_writes is off: a power cut may leave half-written pages. Set full_page_writes = on, unless the file system rules that out',
    );
  const commit = at('synchronous_commit');
  const remedy =
    'a crash may take back which mails were sent. Set it on for this account: alter role ... set synchronous_commit = on';
  if (commit?.setting === 'off')
    problems.push(`synchronous_commit is off and stays off, as behind a pooler: ${remedy}`);
  // We have set it on this connection; a pooler that gives each transaction another one may answer with a fresh one.
  else if (commit?.reset === 'off')
    problems.push(
      `synchronous_commit is off and Wellspring sets it on for each connection, which a pooler of transactions may undo: behind one ${remedy}`,
    );
  return problems;
}

/** What `doctor` says when there is nothing wrong. */
export async function durabilityInWords(dataSource: Pick<DataSource, 'query'>): Promise<string> {
  const problems = await durabilityProblems(dataSource);
  if (problems.length > 0) throw new Error(problems.join('; '));
  return 'a commit is on disk before it is answered';
}
