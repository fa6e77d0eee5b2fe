import type { DataSource } from 'typeorm';

/**
 * What stands between us and PostgreSQL, in words for `doctor`. Throws when it is a pooler that hands out single
 * transactions or statements: it shares one session among clients, so `LISTEN`, advisory locks, prepared statements and
 * settings of a session end up with somebody else.
 *
 * No protocol tells the mode. Two connections that are both open and both idle are asked for their server process: only a
 * pooler that gives a session back after each statement lets one process serve both.
 */
export async function poolerInWords(dataSource: Pick<DataSource, 'createQueryRunner'>): Promise<string> {
  const runners = [dataSource.createQueryRunner(), dataSource.createQueryRunner()];
  const served = new Set<number>();
  try {
    for (const runner of runners) await runner.connect();
    for (const runner of runners) {
      const rows: { pid: number }[] = await runner.query('select pg_backend_pid() as pid');
      for (const { pid } of rows) served.add(pid);
    }
  } finally {
    for (const runner of runners) await runner.release();
  }
  if (served.size === runners.length) return 'each connection has a session of its own';
  throw new Error(
    'a connection pooler hands out single transactions: due work would wait for its next tick, and the prepared statements of the send ledger may fail. Set pool_mode = session for this database, or connect to PostgreSQL itself',
  );
}
