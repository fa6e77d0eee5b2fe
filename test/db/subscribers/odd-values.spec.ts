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
      const answer = await post('subscribers', { email, consent: { text: 'Send it to me.', at } }).expect(
        422,
      );
      expect(answer.body).toMatchObject({ code: 'CONSENT_TIME_INVALID', errors: [{ field: 'consent.at' }] });
      const { body } = await t.http
        .get(`/api/v1/subscribers?email=${email}`)
        .set('Authorization', `Bearer ${API_KEY}`);
      expect(body.data).toEqual([]);
    },
  );

  it.each([
    ['subscribers', '{"email":"half@example.com","tags":["vip","\\ud800"]}', 'tags.1'],
    ['lists', '{"key":"half","title":"\\udc00 half"}', 'title'],
    ['events', '{"email":"half@example.com","name":"seen","key":"a\\ud800"}', 'key'],
    ['subscribers', '{"email":"half@example.com","fields":{"note":"\\ud83d"}}', 'fields.note'],
  ])('were kept by %s with a question mark for half a character: %s', async (path, body, field) => {
    expect((await post(path, body).expect(422)).body).toMatchObject({
      code: 'REQUEST_INVALID',
      errors: [{ field, message: expect.stringContaining('half of a character') }],
    });
  });

  it('are not whole characters of any length', async () => {
    const { body } = await post(
      'subscribers',
      '{"email":"whole@example.com","tags":["\\ud83d\\ude00"]}',
    ).expect(201);
    expect(body.tags).toEqual(['\u{1F600}']);
  });

  it.each(['!!', '', 'German', 'de-', 'x'.repeat(40), 'de DE'])('were a language: %j', async (locale) => {
    const answer = await post('subscribers', { email: 'speaks@example.com', locale }).expect(422);
    expect(answer.body.errors).toMatchObject([{ field: 'locale' }]);
  });

  it.each([
    ['de', 'de'],
    ['de_at', 'de-AT'],
    ['zh-hant-tw', 'zh-Hant-TW'],
    ['pt-BR', 'pt-BR'],
  ])('are not the language %s, kept as %s', async (locale, kept) => {
    const email = `${kept.toLowerCase()}@example.com`;
    expect((await post('subscribers', { email, locale }).expect(201)).body).toMatchObject({ locale: kept });
  });
});

describe('the language of somebody', () => {
  it('could be told when they were made, and never again', async () => {
    const { body } = await post('subscribers', { email: 'moves@example.com', locale: 'de' }).expect(201);
    const patch = (change: object) =>
      t.http.patch(`/api/v1/subscribers/${body.id}`).set('Authorization', `Bearer ${API_KEY}`).send(change);
    expect((await patch({ locale: 'en_GB' }).expect(200)).body.locale).toBe('en-GB');
    expect((await patch({ name: 'Ada' }).expect(200)).body.locale).toBe('en-GB');
    expect((await patch({ locale: null }).expect(200)).body.locale).toBeNull();
    await patch({ locale: '!!' }).expect(422);
  });
});
