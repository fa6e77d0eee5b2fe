import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FieldsInUse1766230000000 } from '../../../src/infra/database/migrations/1766230000000-fields-in-use.js';
import { FieldsWithNulls1766310000000 } from '../../../src/infra/database/migrations/1766310000000-fields-with-nulls.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { defineOwnFields } from '../../support/own-fields.js';

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

describe('a field that nobody has defined', () => {
  const patch = (id: string, fields: object) =>
    t.http.patch(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`).send({ fields });

  it('was kept for somebody, where no segment asks for it', async () => {
    await defineOwnFields(t.dataSource, { shirtSize: 'text' });
    const wrong = [{ field: 'fields.shirtsize', allowed: expect.arrayContaining(['shirtSize']) }];
    const email = 'fields@example.com';
    const refused = await post('subscribers', { email, fields: { shirtsize: 'L' } }).expect(422);
    expect(refused.body).toMatchObject({ code: 'FIELD_VALUE_INVALID', errors: wrong });
    const { body } = await post('subscribers', { email, fields: { shirtSize: 'L' } }).expect(201);
    await patch(body.id, { shirtsize: 'M' }).expect(422);
    await patch(body.id, { shirtsize: null }).expect(200);
    // As programs have left it there.
    await t.dataSource.query(`update subscriber set fields = fields || '{"old": 1}' where id = $1`, [
      body.id,
    ]);
    expect((await patch(body.id, { old: 2 }).expect(200)).body.fields).toEqual({ shirtSize: 'L', old: 2 });
  });

  it('is defined by the upgrade where people have it', async () => {
    await t.dataSource.query(
      `insert into subscriber (email, email_key, status, fields, created_at, updated_at) values
         ('a@example.com', 'a@example.com', 'active', '{"visits": 3, "isVip": true, "note": "x", "mixed": 1, "name": "x"}', now(), now()),
         ('b@example.com', 'b@example.com', 'active', '{"visits": 4, "mixed": "1", "no key": 1}', now(), now())`,
    );
    const runner = t.dataSource.createQueryRunner();
    await new FieldsInUse1766230000000().up(runner);
    await runner.release();
    const rows: { key: string; type: string }[] = await t.dataSource.query(
      `select key, type from subscriber_field where key in ('visits', 'isVip', 'note', 'mixed', 'name', 'no key') order by key`,
    );
    expect(rows.map(({ key, type }) => `${key} ${type}`)).toEqual([
      'isVip boolean',
      'mixed text',
      'note text',
      'visits number',
    ]);
    await post('subscribers', { email: 'c@example.com', fields: { visits: 1 } }).expect(201);
  });

  it('is a number where others have none: it was defined as a text, and the next number was refused', async () => {
    await t.dataSource.query(
      `insert into subscriber (email, email_key, status, fields, created_at, updated_at) values
         ('d@example.com', 'd@example.com', 'active', '{"points": 3, "isPro": null, "zip": "1", "empty": null}', now(), now()),
         ('e@example.com', 'e@example.com', 'active', '{"points": null, "isPro": true, "zip": null}', now(), now())`,
    );
    const runner = t.dataSource.createQueryRunner();
    await new FieldsInUse1766230000000().up(runner);
    await new FieldsWithNulls1766310000000().up(runner);
    await runner.release();
    await post('subscribers', {
      email: 'f@example.com',
      fields: { points: 1, isPro: false, zip: '2' },
    }).expect(201);
    const { body } = await post('subscribers', {
      email: 'g@example.com',
      fields: { points: null, unknown: null },
    }).expect(201);
    expect(body.fields).toEqual({});
    const nulls: unknown[] = await t.dataSource.query(
      `select 1 from subscriber s cross join jsonb_each(s.fields) v where jsonb_typeof(v.value) = 'null'`,
    );
    expect(nulls).toEqual([]);
  });
});
