import { DatabaseError } from 'pg';
import { QueryFailedError } from 'typeorm';

/** By their kind and not by their words: a relay or a web server of somebody else fails with the same ones. */
const lost = new WeakSet<Error>();

/**
 * PostgreSQL, appendix A, of a server that stops, starts or has no place for one more. Of class 08 not 08P01, which says that
 * we broke the protocol, such as by a value too few: that is a bug. A pooler that has no place, or does not reach PostgreSQL,
 * says the same and ends the connection with it.
 */
const AWAY = /^(?:08(?!P01)\w{3}|53300|57P0[1-5])$/;
/**
 * PostgreSQL, appendix A, of one that can be read: a standby or another that takes no writes (25006), a full disk (53100). The
 * rest of class 53 is of reading as well: memory (53200) and limits (53400) want the owner, who finds them in the log.
 */
const READ_ONLY = /^(?:25006|53100)$/;
/** Of a statement on a connection that was lost before it; the driver makes these for each, with no word of the cause. */
const NOT_USABLE = /^Client (?:has encountered a connection error|was closed) and is not queryable$/;

/** For the client whose connection could not be made, or was lost by this. */
export function markLost(error: Error): void {
  lost.add(error);
}

/** Whether it came of a database that cannot be reached now, and so is nobody's bug. */
export function isDatabaseAway(error: unknown): boolean {
  const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
  if (cause instanceof DatabaseError)
    return AWAY.test(cause.code ?? '') || (cause.code === '08P01' && cause.severity === 'FATAL');
  return cause instanceof Error && (lost.has(cause) || NOT_USABLE.test(cause.message));
}

/** Whether it came of a database that cannot be reached now, or takes no writes. */
export function takesNoWrites(error: unknown): boolean {
  const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
  return isDatabaseAway(error) || (cause instanceof DatabaseError && READ_ONLY.test(cause.code ?? ''));
}
