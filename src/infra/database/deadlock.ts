import { DatabaseError } from 'pg';
import { QueryFailedError } from 'typeorm';

/** PostgreSQL, appendix A: deadlock_detected. Everything of the transaction is undone, so that it may be tried again. */
const DEADLOCK = '40P01';

/** lock_not_available: `lock_timeout` was over. */
const LOCK_NOT_AVAILABLE = '55P03';

/** unique_violation: another row has that key. */
const UNIQUE_VIOLATION = '23505';

export function isUniqueViolation(error: unknown): boolean {
  return isOf(error, UNIQUE_VIOLATION);
}

export function isDeadlock(error: unknown): boolean {
  return isOf(error, DEADLOCK);
}

export function isLockedOut(error: unknown): boolean {
  return isOf(error, LOCK_NOT_AVAILABLE);
}

function isOf(error: unknown, code: string): boolean {
  const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
  return cause instanceof DatabaseError && cause.code === code;
}

/** Runs a whole transaction, and again when two that need each other's rows were told apart by undoing this one. */
export async function retriedAfterDeadlock<T>(tries: number, transaction: () => Promise<T>): Promise<T> {
  for (let left = tries - 1; ; left--) {
    try {
      return await transaction();
    } catch (error) {
      if (left === 0 || !isDeadlock(error)) throw error;
    }
  }
}
