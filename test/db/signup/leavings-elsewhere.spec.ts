import { afterEach, beforeEach, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { startAppBehindSocket, type AppBehindSocket } from '../../support/app-behind-socket.js';
import { newReader, type Reader } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';
import { openSmtpSink, type SmtpSink } from '../../support/smtp-sink.js';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** Answers requests, and loses its database alone; the others send, on other machines: none sees the folder of another. */
let behind: AppBehindSocket;
let web: TestApp;
let relay: SmtpSink;
let workers: TestApp[];
let leaver: Reader;
let stays: Reader;
beforeEach(async () => {
  [behind, relay] = await Promise.all([startAppBehindSocket(), openSmtpSink()]);
  web = behind.t;
  workers = [];
  await web.app.get(KeptLeavings, { strict: false }).start();
  [leaver, stays] = [await newReader(web, 'leaver@example.com'), await newReader(web, 'stays@example.com')];
  web.clock.advance(7 * DAY_MS);
  await web.app.get(JobRunner).run('sequences.advance-due');
});
afterEach(async () => {
  for (const worker of workers) await worker.close();
  await behind.close();
  await relay.close();
});

const newWorker = async (roles: string): Promise<TestApp> => {
  const variables = { ROLES: roles };
  const worker = await startTestApp({ databaseUrl: behind.databaseUrl, relay: relay.url, variables });
  worker.app.useLogger(false);
  worker.clock.advance(7 * DAY_MS);
  workers.push(worker);
  await worker.app.get(KeptLeavings, { strict: false }).start();
  return worker;
};
/** To whom mails have gone by a worker when it has nothing more to send. */
const sendsTo = async (worker: TestApp): Promise<string[]> => {
  await worker.app.get(JobRunner).run('delivery.send-due');
  return [...new Set(relay.mails.flatMap(({ to }) => to))];
};
const leaves = async (): Promise<unknown> =>
  web.http.post(leaver.unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
const isOff = async (): Promise<boolean> => {
  const rows: unknown[] = await web.dataSource.query(
    `select 1 from subscriber where id = $1 and status = 'unsubscribed'`,
    [leaver.id],
  );
  return rows.length > 0;
};
/** The word of each process that has given one ran out so long ago, and mails have waited for it for as long. */
const silentFor = async (worker: TestApp, ms: number): Promise<unknown> =>
  worker.dataSource.query(
    `update leavings_keeper set good_until = clock_timestamp() - interval '1 hour', held_ms = $1`,
    [ms],
  );

it.each([
  ['a worker elsewhere, which saw nothing of the outage', 'worker', 'before'],
  ['a worker elsewhere that was started meanwhile', 'worker', 'after'],
  ['a machine that answers requests itself as well', 'web,worker', 'before'],
])(
  'who leaves by a link in an outage gets nothing of a list by %s: their mail went',
  { timeout: 60_000 },
  async (_, roles, when) => {
    const before = when === 'before' ? await newWorker(roles) : null;
    await behind.front.close();
    await leaves();
    const worker = before ?? (await newWorker(roles));
    expect(await sendsTo(worker)).toEqual([]);
    await behind.front.open();
    expect(await becomesTrue(isOff, 20_000)).toBe(true);
    expect(await becomesTrue(async () => (await sendsTo(worker)).length > 0, 20_000)).toBe(true);
    expect(await sendsTo(worker)).toEqual([stays.email]);
  },
);

it('receipts and the like go while mails of lists wait for somebody’s word: nothing went at all', async () => {
  const worker = await newWorker('worker');
  await behind.front.close();
  await silentFor(worker, 0);
  await worker.http.post('/p/niches').type('form').send({ email: 'new@example.com' }).expect(200);
  expect(await sendsTo(worker)).toEqual(['new@example.com']);
});

it('a mail whose turn has come stays when the word runs out before its body, and goes with the next', async () => {
  const worker = await newWorker('worker');
  relay.onRecipient = async () => {
    await behind.front.close();
    await silentFor(worker, 0);
    return undefined;
  };
  expect([await sendsTo(worker), relay.bodiesBegun]).toEqual([[], 0]);
  relay.onRecipient = async () => undefined;
  await behind.front.open();
  expect(await becomesTrue(async () => (await sendsTo(worker)).length === 2, 20_000)).toBe(true);
});

it('who leaves when their mail has been claimed elsewhere, and cannot be taken off yet, gets nothing: it went until the run had ended', async () => {
  const worker = await newWorker('worker');
  await refuseWrites(web.dataSource, 'P0001', ['suppression']);
  relay.onRecipient = async (address) => {
    if (address === leaver.email) await leaves();
    return undefined;
  };
  // On a busy machine the word of the other may just have run out.
  expect(await becomesTrue(async () => (await sendsTo(worker)).length > 0, 20_000)).toBe(true);
  expect([await sendsTo(worker), await isOff()]).toEqual([[stays.email], false]);
  await takeWrites(web.dataSource);
  expect(await becomesTrue(isOff, 20_000)).toBe(true);
});

it('mails wait for an hour for a machine that has ended without a word, and the owner is told: they went at once', async () => {
  const worker = await newWorker('worker');
  await behind.front.close();
  await leaves();
  await silentFor(worker, 59 * 60_000);
  expect(await sendsTo(worker)).toEqual([]);
  const [mail]: { id: string }[] = await worker.dataSource.query(
    `select id from message where state = 'ready' and subscriber_id = $1`,
    [stays.id],
  );
  const why = await worker.http
    .get(`/api/v1/messages/${mail?.id}/explain`)
    .set('Authorization', `Bearer ${API_KEY}`)
    .expect(200);
  expect(why.body.answer).toContain('Mails of lists wait for that, until');
  const told = async (): Promise<string | undefined> => {
    const rows: { message: string }[] = await worker.dataSource.query(
      `select message from alert where key = 'leavings:silent' and resolved_at is null`,
    );
    return rows[0]?.message;
  };
  expect(await told()).toContain('wait for it, for an hour at most');
  await silentFor(worker, HOUR_MS);
  expect(await sendsTo(worker)).toContain(stays.email);
  expect(await told()).toContain('Mails of lists go on without it');
  await behind.front.open();
  expect(await becomesTrue(isOff, 20_000)).toBe(true);
  await sendsTo(worker);
  expect(await told()).toBeUndefined();
});

const heldMs = async (worker: TestApp): Promise<number> => {
  const [{ ms }]: [{ ms: number }] = await worker.dataSource.query(
    'select max(held_ms) as ms from leavings_keeper',
  );
  return ms;
};
const clockSetBack = async (worker: TestApp, { goodFor = '-1 minute' } = {}): Promise<unknown> =>
  worker.dataSource.query(
    `update leavings_keeper set held_at = clock_timestamp() + interval '1 year', good_until = clock_timestamp() + $1::interval`,
    [goodFor],
  );

it('mails wait for an hour at most though the clock of the database was a year ahead: they waited for the year', async () => {
  const worker = await newWorker('worker');
  await behind.front.close();
  await silentFor(worker, 30 * 60_000);
  await clockSetBack(worker);
  expect([await sendsTo(worker), await heldMs(worker)]).toEqual([[], 30 * 60_000]);
  await sendsTo(worker);
  expect(await heldMs(worker)).toBeGreaterThan(30 * 60_000);
});

it('the word of a machine that has ended, given on a clock that was ahead, holds no longer than any: mails to leavers went', async () => {
  const worker = await newWorker('worker');
  await behind.front.close();
  await leaves();
  await clockSetBack(worker, { goodFor: '1 year' });
  expect(await sendsTo(worker)).toEqual([]);
  const [{ ended }]: [{ ended: boolean }] = await worker.dataSource.query(
    'select bool_and(good_until <= clock_timestamp()) as ended from leavings_keeper',
  );
  expect(ended).toBe(true);
});

it('the hour goes by while receipts keep a run going: it took two days', async () => {
  const worker = await newWorker('worker');
  await behind.front.close();
  await silentFor(worker, HOUR_MS - 4_000);
  const jobs = worker.app.get(JobRunner);
  relay.onRecipient = async () => {
    await worker.dataSource.query(
      `update leavings_keeper set held_at = clock_timestamp() - interval '5 seconds'`,
    );
    await jobs.run('delivery.await-keepers');
    return undefined;
  };
  await worker.http.post('/p/niches').type('form').send({ email: 'new@example.com' }).expect(200);
  expect(await sendsTo(worker)).toHaveLength(3);
});

it('nobody is waited for who has ended in good order', async () => {
  const worker = await newWorker('worker');
  await web.app.get(KeptLeavings, { strict: false }).onApplicationShutdown();
  expect(await worker.dataSource.query('select 1 from leavings_keeper')).toEqual([]);
  expect(await sendsTo(worker)).toHaveLength(2);
});
