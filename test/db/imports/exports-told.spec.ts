import { afterAll, beforeAll, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
  await t.dataSource.query(
    `insert into subscriber (email, email_key, status, created_at, updated_at)
     values ('ann@example.com', 'ann@example.com', 'active', now(), now())`,
  );
  await t.http
    .post('/api/v1/segments')
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ key: 'only', title: 'Only', conditions: { status: ['active'] } })
    .expect(201);
});
afterAll(async () => t.close());

const api = (path: string) => t.http.get(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const told = async (): Promise<string[]> => {
  const { body } = await api('alerts').expect(200);
  return (body.data as { key: string; message: string; resolvedAt: string | null }[])
    .filter(({ key, resolvedAt }) => key.startsWith('subscribers:exported:key:') && resolvedAt === null)
    .map(({ message }) => message);
};

it('tells the owner who took the list along, for a week after the last time: nothing said that it was exported', async () => {
  await api('exports/subscribers').expect(200);
  await api('exports/subscribers').expect(200);
  expect(await told()).toEqual([
    expect.stringMatching(/^Subscribers were exported by the API key of the environment\./),
  ]);
  t.clock.advance(8 * 86_400_000);
  await t.app.get(JobRunner).run('imports.clean');
  expect(await told()).toEqual([]);
});

it('goes on saying that all were exported when a part is taken after: who took everybody covered it up by a small segment', async () => {
  await api('exports/subscribers').expect(200);
  await api('exports/subscribers?segment=only').expect(200);
  expect(await told()).toEqual([
    expect.stringMatching(/^Subscribers were exported by the API key of the environment \(segment only\)/),
    expect.stringMatching(/^Subscribers were exported by the API key of the environment\./),
  ]);
});

it('goes on saying which part was taken when another is taken after: the last one covered up the others', async () => {
  await t.http
    .post('/api/v1/segments')
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ key: 'large', title: 'Large', conditions: { status: ['active', 'pending'] } })
    .expect(201);
  await api('exports/subscribers?segment=large').expect(200);
  await api('exports/subscribers?segment=only').expect(200);
  expect(await told()).toEqual(expect.arrayContaining([expect.stringContaining('(segment large)')]));
  expect(await told()).toEqual(expect.arrayContaining([expect.stringContaining('(segment only)')]));
});

it('tells who took the affiliates along with their payouts, or the rows that an import refused: both are names and addresses', async () => {
  const { body } = await t.http
    .post('/api/v1/imports')
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ fileName: 'people.csv', csv: 'email\nnobody\n' })
    .expect(201);
  await t.app.get(JobRunner).run('imports.run');
  expect((await api(`imports/${body.id}/rejected`).expect(200)).text).toContain('nobody');
  await api('payouts/export.csv').expect(200);
  expect(await told()).toEqual(
    expect.arrayContaining([
      expect.stringMatching(
        /^Subscribers were exported by the API key of the environment \(rejected rows of import \d+\)/,
      ),
      expect.stringMatching(/^Affiliates were exported by the API key of the environment \(payouts\)/),
    ]),
  );
});

it('the list can be taken along from a server whose disk is full, when it is needed most: the word to the owner broke it off', async () => {
  await t.dataSource.query(
    `create function full_disk() returns trigger language plpgsql as
       $$ begin raise 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
     create trigger full_disk before insert on alert for each row execute function full_disk()`,
  );
  const { text } = await api('exports/subscribers').expect(200);
  expect(text).toContain('ann@example.com');
});
