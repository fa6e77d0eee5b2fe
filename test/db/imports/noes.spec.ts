import { afterAll, beforeAll, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

/** What became of the rows of a table, with the columns of an export. */
async function imported(csv: string, options: object = {}, dryRun = false): Promise<Record<string, number>> {
  const api = (path: string) => `/api/v1/imports${path}`;
  const columns = {
    ...{ paused: 'pausedUntil', topics: 'topicsOff', counted: 'trackingConsent', status: 'status' },
  };
  const used = Object.entries(columns).filter(([name]) => csv.split('\n', 1)[0]?.split(',').includes(name));
  const { body } = await t.http
    .post(api(''))
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ dryRun, options: { columns: Object.fromEntries(used), ...options }, csv })
    .expect(201);
  await t.app.get(JobRunner).run('imports.run');
  const { body: ended } = await t.http
    .get(api(`/${body.id}`))
    .set('Authorization', `Bearer ${API_KEY}`)
    .expect(200);
  return ended.counts as Record<string, number>;
}

const ACTIVE = { status: 'active', consentText: 'Yes.' };
const inDays = (days: number): string => new Date(t.clock.now().getTime() + days * 86_400_000).toISOString();

async function pausesOf(emails: readonly (string | undefined)[]): Promise<(string | null)[]> {
  const rows: { until: Date | null }[] = await t.dataSource.query(
    'select paused_until as until from subscriber where email = any ($1) order by id',
    [emails],
  );
  return rows.map(({ until }) => until?.toISOString() ?? null);
}

/** What somebody does not want, and the evidence of it. */
async function noesOf(email: string): Promise<unknown> {
  const [noes] = await t.dataSource.query<unknown[]>(
    `select tracking_consent as counted, array(select topic_key from topic_opt_out o where o.subscriber_id = s.id order by 1) as off,
       array(select purpose from consent_event e where e.subscriber_id = s.id and e.kind = 'withdrawn' and purpose <> 'marketing' order by 1) as told
     from subscriber s where email = $1`,
    [email],
  );
  return noes;
}

it('takes the pause of somebody who is here already, also when told to leave them: the row was called unchanged, and mails went on', async () => {
  const names = ['here', 'left-alone', 'longer', 'over'].map((name) => `${name}@example.com`);
  await imported(
    `email,paused\n${names.map((name, nth) => `${name},${nth === 2 ? inDays(30) : ''}`).join('\n')}\n`,
    ACTIVE,
  );
  const [here, leftAlone, longer, over] = names;
  const table = `email,paused\n${here},${inDays(9)}\n${longer},${inDays(9)}\n${over},${inDays(-9)}\n`;
  const counts = { updated: 1, unchanged: 2 };
  expect(await imported(table, {}, true)).toMatchObject(counts);
  expect(await imported(table)).toMatchObject(counts);
  expect(await imported(`email,paused\n${leftAlone},${inDays(9)}\n`, { existing: 'skip' })).toMatchObject({
    skipped: 1,
  });
  expect(await pausesOf(names)).toEqual([inDays(9), inDays(9), inDays(30), null]);
  expect(await imported(table)).toMatchObject({ unchanged: 3 });
});

it('takes the topics that somebody wants no mails about also when told to leave who is here: they were lost', async () => {
  await imported('email\nquiet@example.com\n', ACTIVE);
  const table = 'email,topics\nquiet@example.com,niche-ebook\n';
  expect(await imported(table, { existing: 'skip' })).toMatchObject({ skipped: 1 });
  expect(await noesOf('quiet@example.com')).toEqual({
    counted: true,
    off: ['niche-ebook'],
    told: ['topic:niche-ebook'],
  });
});
