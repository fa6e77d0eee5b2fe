import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource, QueryRunner } from 'typeorm';
import { isDatabaseAway } from './lost-connection.js';

/** Where there is no place behind it, a pooler lets a connection wait for minutes, and a start with it. */
const PATIENCE_MS = 2_000;

/**
 * So many connections that are all open at once; fewer, but not less than `fewest`, where the server has no place for them: a
 * small plan that other processes use has few, and work gets by with them. Whoever asks releases them.
 */
export async function openConnections(
  dataSource: Pick<DataSource, 'createQueryRunner'>,
  { most, fewest }: { most: number; fewest: number },
): Promise<QueryRunner[]> {
  const runners: QueryRunner[] = [];
  while (runners.length < most) {
    const runner = dataSource.createQueryRunner();
    try {
      const opening = runner.connect();
      if (runners.length >= fewest && !(await isInTime(opening))) {
        // Whoever needs a connection next has it, if it comes.
        void opening.catch(() => undefined).then(async () => runner.release());
        break;
      }
      await opening;
      runners.push(runner);
    } catch (error) {
      await runner.release();
      if (runners.length >= fewest && isDatabaseAway(error)) break;
      for (const one of runners) await one.release();
      throw error;
    }
  }
  return runners;
}

async function isInTime(opening: Promise<unknown>): Promise<boolean> {
  return Promise.race([opening.then(() => true), delay(PATIENCE_MS, false, { ref: false })]);
}
