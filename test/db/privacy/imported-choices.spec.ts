import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { newReader } from '../../support/reader.js';

const ROWS = 1_500;

describe('what an imported table says that people do not want', () => {
  let database: TestDatabase;
  let t: TestApp;
  beforeAll(async () => {
    database = await createTestDatabase();
    t = await startTestApp({ databaseUrl: database.url });
    t.app.useLogger(false);
  });
  afterAll(async () => {
    await t.close();
    await database.drop();
  });
  beforeEach(async () => {
    await t.dataSource.query('delete from topic_to_leave');
  });

  const run = async (job: string): Promise<string> => t.app.get(JobRunner).run(job);
  const count = async (sql: string): Promise<number> => {
    const [row]: { count: number }[] = await t.dataSource.query(sql);
    return Number(row?.count);
  };

  it.each([
    ['privacy.leave-topics', 'topic_to_leave', `id, 'niche-ebook'`],
    ['privacy.forget-seen', 'seen_to_forget', 'id'],
  ])(
    'is done row by row also while somebody reads for long (%s): each looked at all before it',
    async (job, table, columns) => {
      await t.dataSource.query(
        `insert into subscriber (email, email_key, status, created_at, updated_at)
         select n || '@${table}.example', n || '@${table}.example', 'active', now(), now() from generate_series(1, ${ROWS}) n`,
      );
      await t.dataSource.query(
        `insert into ${table} select ${columns} from subscriber where email like '%@${table}.example'`,
      );
      const dump = new Client({ connectionString: database.url });
      await dump.connect();
      await dump.query('begin isolation level repeatable read');
      await dump.query('select count(*) from subscriber');
      const entries = async (): Promise<number> => {
        await t.dataSource.query('select pg_stat_force_next_flush()');
        return count(
          `select sum(idx_tup_read) as count from pg_stat_user_indexes where relname = '${table}'`,
        );
      };
      const before = await entries();
      const outcome = await run(job);
      const looks = (await entries()) - before;
      await dump.end();
      expect([outcome, await count(`select count(*) from ${table}`)]).toEqual(['done', 0]);
      expect(looks).toBeGreaterThan(ROWS);
      expect(looks).toBeLessThan(10 * ROWS);
    },
  );

  it('is done of those behind one that fails: it was first again at each run, and nobody else was reached', async () => {
    const [first, second] = [
      await newReader(t, 'fails@example.com'),
      await newReader(t, 'behind@example.com'),
    ];
    for (const { id } of [first, second]) {
      await t.dataSource.query(`insert into topic_opt_out values ($1, 'niche-ebook', now())`, [id]);
      await t.dataSource.query(`insert into topic_to_leave values ($1, 'niche-ebook')`, [id]);
    }
    await t.dataSource.query(
      `create function fails() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$`,
    );
    await t.dataSource.query(
      `create trigger fails before update on enrollment for each row when (old.subscriber_id = ${first.id}) execute function fails()`,
    );
    const outcome = await run('privacy.leave-topics');
    await t.dataSource.query('drop function fails cascade');
    const left: unknown = await t.dataSource.query('select subscriber_id as id from topic_to_leave');
    expect([outcome, left]).toEqual(['failed', [{ id: first.id }]]);
    expect(await run('privacy.leave-topics')).toBe('done');
    expect(await count(`select count(*) from enrollment where status = 'active'`)).toBe(0);
  });
});
