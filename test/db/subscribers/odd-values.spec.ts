import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const post = (path: string, body: string | object) =>
  t.http
    .post(`/api/v1/${path}`)
    .set('Authorization', `Bearer ${API_KEY}`)
    .set('Content-Type', 'application/json')
    .send(typeof body === 'string' ? body : JSON.stringify(body));

describe('values that cannot be right', () => {
  it.each(['9999-12-31T00:00:00Z', '0000-01-01T00:00:00Z', '1969-12-31T23:59:59Z'])(
    'were kept as evidence of consent at %s',
    async (at) => {
      const email = 'when@example.com';
      const answer = await post('subscribers', { email, consent: { text: 'Send it to me.', at } }).expect(422);
      expect(answer.body).toMatchObject({ code: 'CONSENT_TIME_INVALID', errors: [{ field: 'consent.at' }] });
      const { body } = await t.http
        .get(`/api/v1/subscribers?email=${email}`)
        .set('Authorization', `Bearer ${API_KEY}`);
      expect(body.data).toEqual([]);
    },
  );
});
