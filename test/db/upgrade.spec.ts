import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate, openDataSource } from '../../src/infra/database/migrate.js';
import { JobRunner } from '../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../support/app.js';
import { openOlderDatabase, SECRET_KEY, type OlderDatabase } from '../support/older-database.js';
import { openSmtpSink, type SmtpSink } from '../support/smtp-sink.js';

const JOBS = [
  'imports.run',
  'delivery.reap',
  'broadcasts.plan',
  'sequences.exit-left',
  'sequences.advance-due',
  'experiments.decide',
  'delivery.send-due',
];
const HOUR_MS = 3_600_000;

let older: OlderDatabase;
let sink: SmtpSink;
let t: TestApp;
let counts: { before: Record<string, number>; after: Record<string, number> };
beforeAll(async () => {
  [older, sink] = await Promise.all([openOlderDatabase(), openSmtpSink()]);
  const dataSource = await openDataSource(older.url);
  const count = async (): Promise<Record<string, number>> => {
    const rows: { name: string; count: number }[] = await dataSource.query(
      `select table_name as name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I', table_name), false, true, '')))[1]::text::int as count
       from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'schema_migration'`,
    );
    return Object.fromEntries(rows.flatMap((row) => (row.count > 0 ? [[row.name, row.count]] : [])));
  };
  const before = await count();
  await migrate(dataSource);
  counts = { before, after: await count() };
  await dataSource.destroy();
  t = await startTestApp({ relay: sink.url, databaseUrl: older.url, variables: { SECRET_KEY } });
  t.clock.set(new Date('2026-01-07T09:45:00Z'));
});
afterAll(async () => {
  await t.close();
  await sink.close();
  await older.drop();
});

const api = (method: 'get' | 'post', path: string) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const work = async (): Promise<void> => {
  for (let round = 0; round < 3; round++) for (const job of JOBS) await t.app.get(JobRunner).run(job);
};
/** How the mails of each broadcast stand, and of none. */
const stand = async (): Promise<Record<string, Record<string, number>>> => {
  const rows: { title: string; states: Record<string, number> }[] = await t.dataSource.query(
    `select title, jsonb_object_agg(state, count) as states from (
       select coalesce(b.title, 'No broadcast') as title, m.state, count(*) from message m left join broadcast b on b.id = m.broadcast_id
       group by 1, 2) x group by 1`,
  );
  return Object.fromEntries(rows.map(({ title, states }) => [title, states]));
};
const taken = (address: string): number => sink.mails.filter(({ to }) => to.includes(address)).length;

it('an upgrade from 0.10.0 loses no row, but for what was seen of who does not want that', () => {
  const { tracking_event: seen, ...rest } = counts.before;
  expect(seen).toBe(2);
  expect(counts.after).toEqual({ ...rest, tracking_event: 1 });
});

it('the links of mails that were sent before an upgrade from 0.10.0 go on', async () => {
  const { confirm, click, preferences } = older.links;
  await t.http.post(confirm).type('form').send({}).expect(200);
  await t.http.get(click).expect(302);
  expect((await t.http.get(preferences).expect(200)).text).toContain('r***@example.com');
  const people: unknown[] = await t.dataSource.query(
    `select 1 from subscriber where email = 'r6@example.com' and status = 'active'`,
  );
  expect(people).toHaveLength(1);
});

it('what was under way at an upgrade from 0.10.0 goes on, and what was paused waits for the owner', async () => {
  await work();
  // Bodies that were begun are left alone for a while after a start, as their worker may live: that has passed.
  await t.dataSource.query(
    `update setting set value = jsonb_build_object('backAt', clock_timestamp() - interval '10 minutes') where key = 'delivery.reaper'`,
  );
  await work();
  expect(await stand()).toEqual({
    // The relay's "try later" has gone by.
    Done: { accepted: 12, expired: 1, rejected: 1, suppressed: 1, unknown: 1 },
    'Paused by the owner': { held: 16 },
    'Paused by its guard': { held: 16 },
    Cancelled: { cancelled: 16 },
    // Two of the dead worker's were not begun and go; of the others nobody knows.
    Running: { accepted: 12, suppressed: 2, unknown: 2 },
    Split: { accepted: 6, held: 10 },
    'Half planned': { accepted: 14, suppressed: 1 },
    'No broadcast': { accepted: 15 },
  });
  const { body } = await api('get', 'imports').expect(200);
  expect(body.data.map(({ state }: { state: string }) => state)).toEqual(['done', 'done']);
});

it('every mail of before an upgrade from 0.10.0 ends, and nobody gets one twice', async () => {
  const broadcasts = (await api('get', 'broadcasts').expect(200)).body.data as {
    id: string;
    state: string;
  }[];
  for (const { id, state } of broadcasts)
    if (state === 'paused') await api('post', `broadcasts/${id}/resume`).send({}).expect(200);
  for (let hours = 0; hours < 14 * 24; hours += 6) {
    t.clock.advance(6 * HOUR_MS);
    for (const job of JOBS) await t.app.get(JobRunner).run(job);
  }
  expect(await stand()).toMatchObject({
    'Paused by the owner': { accepted: 14, suppressed: 2 },
    'Paused by its guard': { accepted: 14, suppressed: 2 },
    Split: { accepted: 14, suppressed: 2 },
  });
  const open: unknown[] = await t.dataSource.query(
    `select 1 from message where state in ('ready', 'held', 'leased') union all select 1 from enrollment where status = 'active'`,
  );
  expect(open).toEqual([]);
  const ids = sink.mails.map(({ parsed }) => parsed.messageId);
  expect(new Set(ids).size).toBe(ids.length);
  // They had left, or had been given up as their mailbox was full.
  for (const address of ['r2@example.com', 'p4@example.org', 'p11@example.org'])
    expect([address, taken(address)]).toEqual([address, 0]);
  const unknown: { id: string }[] = await t.dataSource.query(
    `select message_id_header as id from message where state = 'unknown'`,
  );
  expect(unknown.filter(({ id }) => ids.includes(id))).toEqual([]);
});
