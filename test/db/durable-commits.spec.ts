import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { durabilityProblems } from '../../src/infra/database/durable-commits.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/** Somebody's own PostgreSQL, tuned for speed. */
describe('a database that is set to answer before a commit is on disk', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(async () => database.drop());

  async function set(value: string): Promise<void> {
    const owner = await openDataSource(database.url);
    await owner.query(
      `alter database ${new URL(database.url).pathname.slice(1)} set synchronous_commit = ${value}`,
    );
    await owner.destroy();
  }

  it.each([
    ['off', 'on'],
    ['local', 'local'],
    ['remote_apply', 'remote_apply'],
  ])('%s is %s on every connection of ours', async (given, ours) => {
    await set(given);
    const db = await openDataSource(database.url);
    const shown = await Promise.all(
      Array.from({ length: 5 }, async () =>
        db.query(`select current_setting('synchronous_commit') as is, pg_sleep(0.05)`),
      ),
    );
    expect(new Set(shown.map((rows: { is: string }[]) => rows[0]?.is))).toEqual(new Set([ours]));
    await db.destroy();
  });

  it('is named although our own connection is set right, as a pooler may give us another for each transaction', async () => {
    await set('off');
    const db = await openDataSource(database.url);
    expect(await durabilityProblems(db)).toContainEqual(
      expect.stringMatching(/^synchronous_commit is off and Wellspring sets it on .*alter role/),
    );
    await db.destroy();
    await set('on');
  });

  it('is named with what to do, as is one whose disk is not waited for at all', async () => {
    const db = await openDataSource(database.url);
    // The server of the tests has no fsync, and full pages neither: it is thrown away after them.
    const problems = await durabilityProblems(db);
    expect(problems[0]).toMatch(/^fsync is off: .*Set fsync = on$/);
    expect(problems.some((problem) => problem.startsWith('synchronous_commit'))).toBe(false);
    const behindPooler = {
      query: async () => [
        { name: 'fsync', setting: 'on' },
        { name: 'full_page_writes', setting: 'on' },
        { name: 'synchronous_commit', setting: 'off' },
      ],
    };
    expect(await durabilityProblems(behindPooler as never)).toEqual([
      expect.stringMatching(/^synchronous_commit is off and stays off, as behind a pooler/),
    ]);
    await db.destroy();
  });
});
