import type { DataSource, QueryRunner } from 'typeorm';
import { isDatabaseAway } from './lost-connection.js';

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
      await runner.connect();
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
