import { afterAll, beforeAll, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { OWNER, ownerPages } from '../../../support/owner-pages.js';

let t: TestApp;
let cookie = '';
let importId = '';
beforeAll(async () => {
  t = await startTestApp();
  ({ cookie } = await ownerPages(t));
  const { body } = await t.http
    .post('/api/v1/imports')
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ fileName: 'people.csv' })
    .expect(201);
  importId = body.id;
  await t.dataSource.query(
    `insert into subscriber (email, email_key, status, created_at, updated_at)
     values ('ann@example.com', 'ann@example.com', 'active', now(), now())`,
  );
  await t.http
    .post('/api/v1/memberships')
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ subscriberId: await annId(), productKey: 'launch-kit', lasts: 'for good', reason: 'a gift' })
    .expect(201);
});
afterAll(async () => t.close());

const annId = async (): Promise<string> =>
  (await t.dataSource.query(`select id from subscriber where email = 'ann@example.com'`))[0].id;
const get = (path: string) => t.http.get(`/admin/${path}`).set('Cookie', cookie);
const told = async (): Promise<string[]> => {
  const { body } = await t.http.get('/api/v1/alerts').set('Authorization', `Bearer ${API_KEY}`).expect(200);
  return (body.data as { message: string }[])
    .map(({ message }) => message)
    .filter((message) => message.includes('(members)'));
};

it('tells the owner who took the members along: their addresses went without a word', async () => {
  expect((await get('memberships/members.csv').expect(200)).text).toContain('ann@example.com');
  await t.http.get('/api/v1/memberships/export.csv').set('Authorization', `Bearer ${API_KEY}`).expect(200);
  expect(await told()).toEqual([
    expect.stringContaining('by the API key of the environment (members)'),
    expect.stringContaining('by you, signed in to the web app (members)'),
  ]);
});

it('gives no table of people by a link to who signed in more than an hour ago: a browser left open gave the buyers away', async () => {
  const links = [
    ['subscribers/export.csv?q=ann', 'subscribers?q=ann'],
    ['memberships/members.csv?product=launch-kit', 'memberships?product=launch-kit'],
    ['payouts/payouts.csv', 'payouts'],
    [`imports/${importId}/rejected.csv`, `imports/${importId}`],
  ] as const;
  for (const [path] of links) await get(path).expect(200);
  t.clock.advance(3_600_001);
  for (const [path, page] of links) {
    const { headers } = await get(path).expect(303);
    expect(headers['location']).toBe(
      `/admin/login?for=download&next=${encodeURIComponent(`/admin/${page}`)}`,
    );
  }
  const again = await t.http.post('/admin/login').type('form').send(OWNER).expect(303);
  cookie = String(again.headers['set-cookie']).split(';')[0] ?? '';
  for (const [path] of links) await get(path).expect(200);
});
