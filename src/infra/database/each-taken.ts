import type { DataSource, EntityManager } from 'typeorm';
import { retriedAfterDeadlock } from './deadlock.js';

const TRIES = 5;

/**
 * Does the rows of a table one after the other, each in a transaction of its own: `take` removes the first one behind `after`
 * that nobody else does, and `work` is what it was there for. Never from the start again: while somebody reads the database for
 * long, as a dump does, those that are done lie there still, and each take passed all of them. One that fails stays for the next
 * run and holds up none behind it; then it rejects at the end.
 */
export async function doEachTaken<Key>(
  db: DataSource,
  signal: AbortSignal,
  take: (
    manager: EntityManager,
    after: Key | null,
  ) => Promise<{ key: Key; work: () => Promise<void> } | null>,
): Promise<void> {
  // Of all of them the first alone: where each fails there may be a million.
  let failed = 0;
  let cause: unknown;
  let after: Key | null = null;
  while (!signal.aborted) {
    const from: Key | null = after;
    const at: Key[] = [];
    const one = async (manager: EntityManager): Promise<void> => {
      at.length = 0;
      const taken = await take(manager, from);
      if (taken === null) return;
      at.push(taken.key);
      await taken.work();
    };
    try {
      await retriedAfterDeadlock(TRIES, async () => db.transaction(one));
    } catch (error) {
      if (at.length === 0) throw error;
      cause ??= error;
      failed++;
    }
    const [key] = at;
    if (key === undefined) break;
    after = key;
  }
  if (failed > 0) throw new Error(`${failed} of them have to wait: ${String(cause)}`, { cause });
}
