import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError } from 'pg';
import type { DataSource } from 'typeorm';
import { DomainError } from '../../values/domain-error.js';
import { isDatabaseAway } from './lost-connection.js';
import { openDataSource } from './migrate.js';

interface Patience {
  pauseMs: number;
  sayEveryMs: number;
  mostMs: number;
}

/** A supervisor that starts everything at once, or anew, has the database there well within it. */
const PATIENCE: Patience = { pauseMs: 1_000, sayEveryMs: 30_000, mostMs: 300_000 };

/** Of the network, or of a socket that is not there yet. */
const NOT_REACHED = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH'],
  ...['ENOTFOUND', 'EAI_AGAIN', 'ENOENT'],
]);
/** A pooler says all it has to say under one code, also of who is not let in. */
const NOT_LET_IN = /authentication|password|not allowed|no such|does not exist|unsupported/;

/**
 * As `openDataSource`, for a process that a supervisor has started: one that is away, starts or ends just now is waited for, and
 * `say` hears of it at once and every half minute. Who is not let in has a wrong password or name, which no wait mends.
 */
export async function awaitedDataSource(
  url: string,
  say: (line: string) => void,
  { pauseMs, sayEveryMs, mostMs }: Patience = PATIENCE,
): Promise<DataSource> {
  const startedMs = performance.now();
  let saidMs = -Infinity;
  for (;;)
    try {
      return await openDataSource(url);
    } catch (error) {
      if (!(error instanceof DomainError) || !mayCome(error.cause)) throw error;
      const nowMs = performance.now();
      const waitedMs = nowMs - startedMs;
      if (waitedMs >= mostMs)
        throw new DomainError(
          error.code,
          `${error.message}. Waited ${Math.round(mostMs / 1000)} s for it.`,
          error.facts,
          { cause: error },
        );
      if (nowMs - saidMs >= sayEveryMs) {
        say(`${error.message}: waiting for it, up to ${Math.round((mostMs - waitedMs) / 1000)} s more`);
        saidMs = nowMs;
      }
      await sleep(pauseMs);
    }
}

function mayCome(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  const code = 'code' in cause ? String(cause.code) : '';
  // The driver has no code for a server that takes too long, or that ends the connection before it says a word.
  return (
    NOT_REACHED.has(code) ||
    (code === '' && /timeout|terminated/.test(cause.message)) ||
    (cause instanceof DatabaseError && isDatabaseAway(cause) && !NOT_LET_IN.test(cause.message))
  );
}
