import { afterAll, beforeAll, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp({ variables: { TIME_ZONE: 'Asia/Tokyo' } });
});
afterAll(async () => t.close());

const send = async (path: string, body: object, status: number): Promise<Record<string, unknown>> =>
  (await t.http.post(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body).expect(status))
    .body as Record<string, unknown>;

it('an owner in Tokyo is told of their own days, where it is tomorrow already', async () => {
  await send('fields', { key: 'birthday', label: 'Birthday', type: 'date' }, 201);
  t.clock.set('2026-03-02T23:30:00Z');
  for (const [email, birthday] of [
    ['second@example.com', '2026-03-02'],
    ['third@example.com', '2026-03-03'],
    ['fourth@example.com', '2026-03-04'],
  ])
    await send('subscribers', { email, fields: { birthday } }, 201);
  await t.dataSource.query(`update subscriber set status = 'active'`);
  const count = async (conditions: object): Promise<unknown> =>
    (await send('segments/count', { conditions }, 200))['count'];
  expect(await count({ field: 'birthday', op: 'inNextDays', value: 1 })).toBe(1);
  const birthdays = { field: 'birthday', op: 'withinDays', value: 1 };
  expect(await count(birthdays)).toBe(2);
  const signedUp = { all: [{ field: 'birthday', op: 'isSet' }, { signedUp: { since: '2026-03-03' } }] };
  expect(await count(signedUp)).toBe(3);
  t.clock.set('2026-03-04T14:59:59Z');
  const yesterday = { all: [{ field: 'birthday', op: 'isSet' }, { signedUp: { withinDays: 1 } }] };
  expect(await count(yesterday)).toBe(3);
  await send('segments', { key: 'birthdays', title: 'Birthdays', conditions: birthdays }, 201);
  const broadcast = {
    ...{ title: 'Happy birthday', template: 'emails/story', audience: { segments: { any: ['birthdays'] } } },
    sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' },
  };
  const { id } = await send('broadcasts', broadcast, 201);
  const audience = t.http.get(`/api/v1/broadcasts/${String(id)}/audience`);
  const { body } = await audience.set('Authorization', `Bearer ${API_KEY}`).expect(200);
  expect(body).toEqual({ size: 2 });
  t.clock.set('2026-03-04T15:00:00Z');
  expect(await count(yesterday)).toBe(0);
});
