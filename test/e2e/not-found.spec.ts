import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { licenceKey, LICENCE_KEY_BYTES } from '../../src/orders/licence-key.js';
import { API_KEY, startTestApp, type TestApp } from '../support/app.js';

interface Operation {
  parameters?: { name: string; in: string }[];
  responses: Record<string, { description: string }>;
  requestBody?: { content: Record<string, { example?: object }> };
}

let t: TestApp;
/** Every address of the API with one thing in it that is asked for, and what that is called there. */
let places: [path: string, name: string, operation: Operation][];
/** What changes something that an id names. */
let changes: [method: 'post' | 'put' | 'patch' | 'delete', path: string, example: object | undefined][];

beforeAll(async () => {
  t = await startTestApp();
  const { body } = await t.http.get('/api/openapi.json').expect(200);
  places = Object.entries<Record<string, Operation>>(body.paths).flatMap(([path, { get }]) => {
    const [named] = (get?.parameters ?? []).filter((parameter) => parameter.in === 'path');
    return get && named ? [[path, named.name, get] as (typeof places)[number]] : [];
  });
  changes = Object.entries<Record<string, Operation>>(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { requestBody }]) =>
      method !== 'get' && path.includes('{id}')
        ? [[method, path, requestBody?.content['application/json']?.example] as (typeof changes)[number]]
        : [],
    ),
  );
});
afterAll(async () => t.close());

/** Well formed, and of nothing that is there. */
function unknown(path: string, name: string): string {
  if (path.includes('/licences/')) return licenceKey(Buffer.alloc(LICENCE_KEY_BYTES));
  return name === 'id' ? '999999999' : 'nothing-of-this-name';
}

const ask = async (path: string, name: string, value: string) =>
  t.http.get(path.replace(`{${name}}`, encodeURIComponent(value))).set('Authorization', `Bearer ${API_KEY}`);

describe('every address of the API that names something', () => {
  it('says in one way that it is not there', async () => {
    expect(places.length).toBeGreaterThan(30);
    for (const [path, name, { responses }] of places) {
      const value = unknown(path, name);
      const { status, headers, body } = await ask(path, name, value);
      const of = /^There is no ([\w ]+) with the /.exec(body.detail)?.[1] ?? '(a thing)';
      expect({ path, sentAs: headers['content-type'], ...body, status }).toEqual({
        path,
        sentAs: 'application/problem+json',
        status: 404,
        type: 'about:blank',
        title: 'Not Found',
        code: `${of.toUpperCase().replaceAll(' ', '_')}_NOT_FOUND`,
        detail: `There is no ${of} with the ${name} ${value}`,
        facts: { [name]: value },
        instance: expect.stringMatching(/^urn:uuid:/),
      });
      expect([path, responses['404']?.description]).toEqual([
        path,
        expect.stringContaining(`\`${body.code}\``),
      ]);
    }
  });

  it('says so as well to whoever wants to change it', async () => {
    expect(changes.length).toBeGreaterThan(30);
    for (const [method, path, example] of changes) {
      const id =
        path.startsWith('/api/v1/sequences/{id}') && method === 'put' ? 'nothing-of-this-name' : '999999999';
      const answer = await t.http[method](path.replace('{id}', id).replace(/\{\w+\}/, '1'))
        .set('Authorization', `Bearer ${API_KEY}`)
        .set('Idempotency-Key', `${method}:${path}`)
        // As many clients do, also of a request without a body.
        .type(path.endsWith('/file') ? 'text/csv' : 'application/json')
        .send(example ?? '');
      const { code, detail, facts } = answer.body;
      expect({ method, path, status: answer.status, code, detail, facts }).toEqual({
        ...{ method, path, status: 404 },
        code: expect.stringMatching(/_NOT_FOUND$/),
        detail: expect.stringMatching(/^There is no [\w ]+ with the (id|key) [\w-]+$/),
        facts: expect.toSatisfy((given: object | undefined) => Object.values(given ?? {}).includes(id)),
      });
    }
  });

  it('refuses in one way what cannot be the name of anything', async () => {
    for (const [path, name] of places) {
      for (const value of ['No Such\u0000Thing', '-1!', 'a'.repeat(200)]) {
        const { status, headers, body } = await ask(path, name, value);
        expect({ path, value, status, type: headers['content-type'], code: body.code }).toEqual({
          ...{ path, value, status: 422, type: 'application/problem+json' },
          // A key that somebody has typed wrong is told from one that was never issued.
          code: expect.stringMatching(path.includes('/licences/') ? /_INVALID$/ : /^REQUEST_INVALID$/),
        });
        if (body.code === 'REQUEST_INVALID') expect(body.errors).toMatchObject([{ field: name }]);
      }
    }
  });
});
