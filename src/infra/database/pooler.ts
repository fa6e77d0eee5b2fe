import type { DataSource } from 'typeorm';
import { DomainError } from '../../values/domain-error.js';
import { openConnections } from './open-connections.js';

/** With others at work a pooler of transactions may once have a server process for each by chance. */
const ROUNDS = 4;
/** More than poolers behind one address: each would have a server process for its one connection. */
const CONNECTIONS = 8;
/** What one alone would say of itself proves nothing. */
const FEWEST = 2;

/**
 * What stands between us and PostgreSQL, in words for `doctor`. Throws `DATABASE_POOLER_UNFIT` when it is a pooler that hands out
 * single transactions or statements: it shares one session among clients, so `LISTEN`, advisory locks, prepared statements and
 * settings of a session end up with somebody else. Each start asks it, before anything is written.
 *
 * No protocol tells the mode. Some connections that are all open and all idle are asked for their server process, by turns:
 * only a pooler that gives a session back after each statement lets one process serve two of them, or one of them by two.
 */
export async function poolerInWords(dataSource: Pick<DataSource, 'createQueryRunner'>): Promise<string> {
  const runners = await openConnections(dataSource, { most: CONNECTIONS, fewest: FEWEST });
  const served = new Set<number>();
  try {
    for (let round = 0; round < ROUNDS; round++)
      for (const runner of runners) {
        const rows: { pid: number }[] = await runner.query('select pg_backend_pid() as pid');
        for (const { pid } of rows) served.add(pid);
      }
  } finally {
    for (const runner of runners) await runner.release();
  }
  if (served.size === runners.length) return 'each connection has a session of its own';
  throw new DomainError(
    'DATABASE_POOLER_UNFIT',
    'DATABASE_URL: a connection pooler hands out single transactions: locks, prepared statements and settings of one connection would end up with another. Set pool_mode = session for this database, or connect to PostgreSQL itself',
  );
}
