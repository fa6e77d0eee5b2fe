import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiKeysService } from '../../../../src/infra/access/api-keys.service.js';
import { ENVIRONMENT_KEY, type HttpApp, startHttpApp } from './http-app.js';

let http: HttpApp;

beforeAll(async () => {
  http = await startHttpApp();
});
afterAll(() => http.close());

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const asOwner = bearer(ENVIRONMENT_KEY);
const list = (headers: Record<string, string>, query = '') =>
  http.inject({ method: 'GET', url: `/api/v1/api-keys${query}`, headers });
const create = (name: unknown) =>
  http.inject({ method: 'POST', url: '/api/v1/api-keys', headers: asOwner, payload: { name } });

describe('API keys', () => {
  it('answers 401 with a challenge when no key is sent', async () => {
    const answer = await list({});
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.json()).toMatchObject({ status: 401, code: 'API_KEY_UNAUTHORIZED', title: 'Unauthorized' });
  });

  it.each([
    ['another key', bearer('environment-key-of-the-tesT')],
    ['a key that never was', bearer(`ws_abcdefgh_${'A'.repeat(43)}`)],
    ['basic credentials', { authorization: 'Basic dXNlcjpwYXNz' }],
    ['an empty key', { authorization: 'Bearer ' }],
  ])('answers 401 to %s', async (_, headers) => {
    expect((await list(headers)).statusCode).toBe(401);
  });

  it.each([
    '//api/v1/api-keys',
    '/API/v1/api-keys',
    '/api/v1/../v1/api-keys',
    '/api/v1/%61pi-keys',
    '/api/v1/api-keys/',
  ])('gives away nothing for the spelling %s of a protected address', async (url) => {
    const answer = await http.inject({ method: 'GET', url });
    expect([401, 404]).toContain(answer.statusCode);
  });

  it('lets the key of the environment in', async () => {
    expect((await list(asOwner)).statusCode).toBe(200);
  });

  it('creates a key that works at once, and keeps only its hash', async () => {
    const created = await create('  CRM  ');
    expect(created.statusCode).toBe(201);
    const { key, ...rest } = created.json();
    expect(key).toMatch(/^ws_[a-z2-7]{8}_[A-Za-z0-9_-]{43}$/);
    expect(rest).toMatchObject({
      name: 'CRM',
      prefix: key.slice(3, 11),
      createdAt: '2026-01-05T09:00:00.000Z',
    });
    expect((await list(bearer(key))).statusCode).toBe(200);
    const rows = await http.dataSource.query('select k::text as all_of_it from api_key k');
    expect(JSON.stringify(rows)).not.toContain(key.slice(12));
  });

  it('refuses a key whose secret differs in one character', async () => {
    const { key } = await http.app.get(ApiKeysService).create('one character');
    const other = key.at(20) === 'A' ? 'B' : 'A';
    expect((await list(bearer(key.slice(0, 20) + other + key.slice(21)))).statusCode).toBe(401);
  });

  it('notes the last use once a minute at most', async () => {
    const { id, key } = await http.app.get(ApiKeysService).create('used');
    const lastUsedAt = async (): Promise<Date> =>
      (await http.dataSource.query('select last_used_at from api_key where id = $1', [id]))[0].last_used_at;
    const first = http.clock.now();
    await list(bearer(key));
    http.clock.advance(59_000);
    await list(bearer(key));
    expect(await lastUsedAt()).toEqual(first);
    http.clock.advance(1_000);
    await list(bearer(key));
    expect(await lastUsedAt()).toEqual(http.clock.now());
  });

  it('closes the door to a revoked key, and revoking again changes nothing', async () => {
    const { id, key } = await http.app.get(ApiKeysService).create('to be revoked');
    const revoke = () => http.inject({ method: 'DELETE', url: `/api/v1/api-keys/${id}`, headers: asOwner });
    const answer = await revoke();
    expect([answer.statusCode, answer.body]).toEqual([204, '']);
    const revokedAt = http.clock.now().toISOString();
    expect((await list(bearer(key))).statusCode).toBe(401);
    http.clock.advance(5_000);
    expect((await revoke()).statusCode).toBe(204);
    const { data } = (await list(asOwner)).json();
    expect(data.find((one: { id: string }) => one.id === id).revokedAt).toBe(revokedAt);
  });

  it('answers 404 for a key that is not there and 422 for an id that cannot be one', async () => {
    const remove = (id: string) =>
      http.inject({ method: 'DELETE', url: `/api/v1/api-keys/${id}`, headers: asOwner });
    expect((await remove('999999')).json()).toMatchObject({ status: 404, code: 'API_KEY_NOT_FOUND' });
    for (const id of ['abc', '-1', '0', '9223372036854775808', '1%00']) {
      expect((await remove(id)).json()).toMatchObject({ status: 422, errors: [{ field: 'id' }] });
    }
  });

  it.each([
    ['', 'at least 1 characters'],
    ['   ', 'at least 1 characters'],
    ['x'.repeat(101), 'at most 100 characters'],
    [7, 'string'],
  ])('refuses the name %j and says what is allowed', async (name, allowed) => {
    const answer = await create(name);
    expect(answer.json()).toMatchObject({
      status: 422,
      code: 'REQUEST_INVALID',
      errors: [{ field: 'name', allowed }],
    });
  });

  it('pages through every key once, newest first', async () => {
    const service = http.app.get(ApiKeysService);
    for (let number = 0; number < 5; number++) await service.create(`page ${number}`);
    const everything = (await list(asOwner, '?limit=200')).json().data.map(({ id }: { id: string }) => id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '?limit=2' : `?limit=2&cursor=${cursor}`;
      const page: { data: { id: string }[]; nextCursor: string | null } = (await list(asOwner, query)).json();
      expect(page.data.length).toBeLessThanOrEqual(2);
      seen.push(...page.data.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(seen).toEqual(everything);
    expect(seen.map(Number)).toEqual(seen.map(Number).toSorted((a, b) => b - a));
  });

  it.each([
    '?limit=0',
    '?limit=201',
    '?limit=1.5',
    '?limit=many',
    '?cursor=nonsense',
    '?cursor=',
    '?limit=1&limit=2',
    '?page=2',
  ])('refuses the list query %s', async (query) => {
    expect((await list(asOwner, query)).json()).toMatchObject({ status: 422, code: 'REQUEST_INVALID' });
  });
});
