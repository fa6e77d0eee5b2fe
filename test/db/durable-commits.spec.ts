import type { Pool } from 'pg';
import { pino } from 'pino';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { durabilityProblems } from '../../src/infra/database/durable-commits.js';
import { PostgresJobStore } from '../../src/infra/jobs/postgres-job-store.js';
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

  it('is good enough for an account that is set so, as each connection of ours is set right', async () => {
    await set('off');
    const db = await openDataSource(database.url);
    expect((await durabilityProblems(db)).filter((one) => one.startsWith('synchronous_commit'))).toEqual([]);
    await db.destroy();
    await set('on');
  });

  it('is named with what to do where something takes our setting back, as a pooler of transactions does', async () => {
    await set('off');
    const db = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    // One that still has it.
    await db.query(`set synchronous_commit = on`);
    expect(await durabilityProblems(db)).toContainEqual(
      expect.stringMatching(/^synchronous_commit is off on 3 of 4 connections .*alter role/),
    );
    await db.destroy();
    await set('on');
  });

  it('is named with what to do when the disk is not waited for at all', async () => {
    const db = await openDataSource(database.url);
    // The server of the tests has no fsync, and full pages neither: it is thrown away after them.
    const problems = await durabilityProblems(db);
    expect(problems[0]).toMatch(/^fsync is off: .*Set fsync = on$/);
    await db.destroy();
  });

  it('commits durably, and compiles nothing, also in the pool of the job clock', async () => {
    await set('off');
    const store = new PostgresJobStore(database.url, pino({ level: 'silent' }));
    const db = await openDataSource(database.url);
    try {
      await store.open();
      const repository = store.repository as unknown as { pool: Pool };
      const { rows } = await repository.pool.query(
        `select current_setting('synchronous_commit') as commits, current_setting('jit') as jit`,
      );
      expect(rows).toEqual([{ commits: 'on', jit: 'off' }]);
    } finally {
      await store.close('nobody');
      await db.destroy();
      await set('on');
    }
  });
});
