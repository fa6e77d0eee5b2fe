import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RestoreWatch } from '../../../../src/delivery/generation/restore-watch.service.js';
import { startTestApp, type TestApp } from '../../../support/app.js';
import { DurablePostgres } from '../../../support/durable-postgres.js';

/** On a PostgreSQL of its own: a limit of connections holds for nobody who may do everything, and others are not let in. */
describe(
  'a database that was restored and has no place for a second connection',
  { timeout: 120_000 },
  () => {
    const warnings: string[] = [];
    let cluster: DurablePostgres;
    let database: string;
    let test: TestApp;

    beforeAll(async () => {
      cluster = await DurablePostgres.start();
      database = await cluster.createDatabase();
      await appendFile(
        join(cluster.dataDir, 'postgres/pg_hba.conf'),
        '\nhost all crowded 127.0.0.1/32 scram-sha-256\n',
      );
      await query(`do $$ begin
      perform pg_reload_conf();
      execute format('create role crowded login password ''crowded'' in role %I', current_user);
    end $$`);
      const url = new URL(cluster.url(database));
      [url.username, url.password] = ['crowded', 'crowded'];
      test = await startTestApp({ databaseUrl: url.href });
      test.app.useLogger({
        log: () => {},
        error: () => {},
        warn: (line: unknown) => warnings.push(String(line)),
      });
      await test.app.get(RestoreWatch, { strict: false }).start();
    }, 120_000);
    afterAll(async () => {
      await query('alter role crowded connection limit -1');
      await test.close();
      await cluster.close();
    });

    const query = async (sql: string): Promise<void> =>
      cluster.as(database, async (client) => void (await client.query(sql)));

    it('asks visitors for patience and stands in the log: they read of DATABASE_URL', async () => {
      // As a dump makes it anew.
      await query(`alter table setting rename to setting_before`);
      await query(`create table setting (like setting_before including all)`);
      await query(`insert into setting select * from setting_before`);
      await query('alter role crowded connection limit 1');
      await query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'crowded'`);
      const answer = await test.http.get('/p/niches').set('Accept', 'application/json');
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, '60']);
      expect(answer.text).not.toContain('DATABASE_URL');
      expect(warnings).toContainEqual(expect.stringContaining('The database is away: too many connections'));
      await query('alter role crowded connection limit -1');
      await test.http.get('/p/niches').expect(200);
    });
  },
);
