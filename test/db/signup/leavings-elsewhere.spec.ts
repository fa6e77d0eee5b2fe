import { join } from 'node:path';
import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { newReader } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';
import { pass } from '../../support/steady-time.js';
import { openSmtpSink, type SmtpSink } from '../../support/smtp-sink.js';

const DAY_MS = 86_400_000;
const TABLES = ['message', 'setting', 'subscriber', 'suppression', 'consent_event'];

let database: TestDatabase;
/** Answers requests; the other sends, on another machine: neither sees the folder of the other. */
let web: TestApp;
let worker: TestApp;
let relay: SmtpSink;
beforeEach(async () => {
  [database, relay] = await Promise.all([createTestDatabase(), openSmtpSink()]);
  web = await startTestApp({ databaseUrl: database.url });
  worker = await startTestApp({
    databaseUrl: database.url,
    relay: relay.url,
    variables: { ROLES: 'worker' },
  });
  for (const { app } of [web, worker]) app.useLogger(false);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await worker.close();
  await web.close();
  await relay.close();
  await database.drop();
});

it.each([
  ['cannot be written to', '25006'],
  ['has a full disk', '53100'],
])(
  'who leaves by a link while the database %s gets nothing of a list from a worker elsewhere, which went first when it was over',
  { timeout: 60_000 },
  async (_, sqlState) => {
    const leaver = await newReader(web, 'leaver@example.com');
    const stays = await newReader(web, 'stays@example.com');
    for (const { clock } of [web, worker]) clock.advance(7 * DAY_MS);
    await web.app.get(JobRunner).run('sequences.advance-due');
    await refuseWrites(web.dataSource, sqlState, TABLES);
    await web.http.post(leaver.unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
    const sends = async (): Promise<string[]> => {
      await worker.app.get(JobRunner).run('delivery.send-due');
      return relay.mails.flatMap(({ to }) => to);
    };
    expect(await sends()).toEqual([]);
    await takeWrites(web.dataSource);
    expect(await sends()).toEqual([]);
    await web.app.get(KeptLeavings, { strict: false }).takeUp();
    expect(await readdir(join(web.app.get<Config>(CONFIG).dataDir, 'leavings'))).toEqual([]);
    expect(await sends()).toEqual([]);
    pass(worker.clock, 3_000);
    expect(new Set(await sends())).toEqual(new Set([stays.email]));
  },
);

it('who leaves by a link in an outage that lay between two runs of a worker elsewhere gets nothing of a list: it ended none of them', async () => {
  const leaver = await newReader(web, 'leaver@example.com');
  const stays = await newReader(web, 'stays@example.com');
  const sends = async (): Promise<string[]> => {
    expect(await worker.app.get(JobRunner).run('delivery.send-due')).toBe('done');
    return relay.mails.flatMap(({ to }) => to);
  };
  expect(await sends()).toEqual([]);
  for (const { clock } of [web, worker]) clock.advance(7 * DAY_MS);
  await web.app.get(JobRunner).run('sequences.advance-due');
  await refuseWrites(web.dataSource, '25006', TABLES);
  await web.http.post(leaver.unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
  pass(worker.clock, 11_000);
  await takeWrites(web.dataSource);
  expect(await sends()).toEqual([]);
  await web.app.get(KeptLeavings, { strict: false }).takeUp();
  pass(worker.clock, 3_000);
  expect(new Set(await sends())).toEqual(new Set([stays.email]));
});
