import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';
import { insertMessage } from '../delivery/pacing/pacing-app.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

it('/metrics tells how many mails are due and since when, which are unclear, and which relay is left alone', async () => {
  await insertMessage(t.dataSource, { due_at: new Date(t.clock.now().getTime() - 3_600_000) });
  await insertMessage(t.dataSource, { due_at: new Date(t.clock.now().getTime() + 3_600_000) });
  const unclear = await insertMessage(t.dataSource, { due_at: t.clock.now() });
  await t.dataSource.query(`update message set state = 'unknown' where id = $1`, [unclear]);
  await t.dataSource.query(
    `insert into relay_state (key, state, updated_at) values ('main', 'closed', now()), ('second', 'open', now())`,
  );
  await t.dataSource.query(
    `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
     values ($1, 1, clock_timestamp(), clock_timestamp(), 'body', 'unknown')`,
    [unclear],
  );
  const { text } = await t.http.get('/metrics').expect(200);
  const lines = text.split('\n').filter((line) => /^wellspring_(?:mails|relay|attempts)/.test(line));
  expect(lines).toEqual([
    'wellspring_mails_due 1',
    'wellspring_mails_oldest_due_seconds 3600',
    'wellspring_mails_claimed 0',
    'wellspring_mails_unknown 1',
    'wellspring_mails_held 0',
    'wellspring_relay_open{relay="main"} 0',
    'wellspring_relay_open{relay="second"} 1',
    'wellspring_attempts_last_minute{outcome="unknown"} 1',
  ]);
});

it('/metrics has its other numbers while the database does not answer', async () => {
  const away = await startTestApp();
  await away.dataSource.query('alter table message rename to message_away');
  const { text } = await away.http.get('/metrics').expect(200);
  expect(text).toContain('process_cpu_seconds_total');
  expect(text).not.toMatch(/^wellspring_mails/m);
  await away.close();
});

it('/metrics asks a database that hangs once, and has its other numbers meanwhile: each scrape took a connection more', async () => {
  const slow = await startTestApp();
  const runner = slow.dataSource.createQueryRunner();
  await runner.connect();
  await runner.startTransaction();
  await runner.query('lock table message in access exclusive mode');
  const answers = await Promise.all(Array.from({ length: 6 }, async () => slow.http.get('/metrics')));
  for (const { text } of answers) {
    expect(text).toContain('process_cpu_seconds_total');
    expect(text).not.toMatch(/^wellspring_mails/m);
  }
  const [waiting]: { n: number }[] = await runner.query(
    `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
  );
  expect(waiting?.n).toBeLessThanOrEqual(1);
  await runner.rollbackTransaction();
  await runner.release();
  await slow.close();
});
