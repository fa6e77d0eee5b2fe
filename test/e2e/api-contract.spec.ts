import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../support/app.js';
import { newReader } from '../support/reader.js';

interface Schema {
  $ref?: string;
  properties?: Record<string, Schema>;
  [key: string]: unknown;
}
interface Operation {
  security?: unknown[];
  parameters: { name: string; in: string; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema; example?: object }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}
type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
interface Route {
  name: string;
  method: Method;
  path: string;
  operation: Operation;
}

const CAMEL_CASE = /^[a-z][a-zA-Z0-9]*$/;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/;
/** What the demonstration has where an address is named by a word; numbers are those of its first rows. */
const NAMES: Readonly<Record<string, string>> = { forms: 'niches', funnels: 'niche-ebook' };

let t: TestApp;
let document: { components: { schemas: Record<string, Schema> } };
let routes: Route[];
beforeAll(async () => {
  t = await startTestApp();
  await newReader(t, 'reader@example.com');
  const placed = await t.http
    .post('/checkout/launch-kit')
    .type('form')
    .send({ email: 'reader@example.com', name: 'Rita' })
    .expect(303);
  await t.http.post(String(placed.headers['location'])).type('form').send({ outcome: 'paid' }).expect(303);
  await t.runDue();
  const { body } = await t.http.get('/api/openapi.json').expect(200);
  document = body;
  routes = Object.entries<Record<string, Operation>>(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Route => {
      return { name: `${method} ${path}`, method: method as Method, path, operation };
    }),
  );
});
afterAll(async () => t.close());

const isOpen = ({ operation }: Route): boolean => operation.security?.length === 0;
const takesKey = ({ operation }: Route): boolean =>
  operation.parameters.some(({ name }) => name === 'Idempotency-Key');
const answerOf = ({ operation }: Route): Schema | undefined => {
  const [[, answer] = []] = Object.entries(operation.responses).filter(([status]) => status < '300');
  const schema = answer?.content?.['application/json']?.schema;
  const name = schema?.$ref?.split('/').at(-1);
  return name === undefined ? schema : document.components.schemas[name];
};
const isPaged = (route: Route): boolean =>
  'nextCursor' in (answerOf(route)?.properties ?? {}) &&
  ['limit', 'cursor'].every((name) => route.operation.parameters.some((one) => one.name === name));
const addressOf = ({ path }: Route): string =>
  path.replaceAll(/\/([\w-]+)\/\{(\w+)\}/g, (_, of: string, name: string) => {
    const word = of === 'products' || of === 'offers' ? 'launch-kit' : 'niche-ebook';
    return `/${of}/${name === 'id' ? '1' : (NAMES[of] ?? word)}`;
  });
const send = (route: Route, more: Record<string, string> = {}) => {
  const [kind = 'application/json', body] =
    Object.entries(route.operation.requestBody?.content ?? {})[0] ?? [];
  const request = t.http[route.method](addressOf(route)).set(more);
  return route.method === 'get' ? request : request.type(kind).send(body?.example ?? '');
};
const AUTHORIZED = { authorization: `Bearer ${API_KEY}` };

/** Without the name of the request, which is another one each time. */
const bodyOf = (text: string): unknown => {
  if (text === '') return null;
  const { instance: _, ...body } = JSON.parse(text) as { instance?: string };
  return body;
};

/** Every object in it with the path to it. */
function* objectsIn(value: unknown, at = ''): Generator<[at: string, object: Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [at, value as Record<string, unknown>];
  for (const [key, one] of Object.entries(value)) yield* objectsIn(one, `${at}.${key}`);
}
/** Every property that is described anywhere in it. */
const propertiesIn = (schema: unknown): { at: string; name: string; all: object }[] =>
  [...objectsIn(schema)].flatMap(([at, { type, properties: all }]) =>
    type === 'object' && typeof all === 'object' && all !== null
      ? Object.keys(all).map((name) => ({ at, name, all }))
      : [],
  );

describe('every route that the API describes', () => {
  it('names fields and parameters in camelCase', () => {
    const named = [
      ...propertiesIn(document).map(({ at, name }) => [at, name]),
      ...routes.flatMap(({ name: of, operation }) =>
        operation.parameters.flatMap((one) => (one.in === 'header' ? [] : [[of, one.name]])),
      ),
    ];
    expect(named.length).toBeGreaterThan(500);
    expect(named.filter(([, name = '']) => !CAMEL_CASE.test(name))).toEqual([]);
  });

  it('says money with its currency', () => {
    const money = propertiesIn(document).filter(({ name }) => name.endsWith('Minor'));
    expect(money.length).toBeGreaterThan(5);
    const odd = money.filter(({ all }) => !('currency' in all));
    expect(odd.map(({ at, name }) => [at, name])).toEqual([]);
  });

  it('pages what is a list by a cursor', () => {
    const lists = routes.filter((one) => one.method === 'get' && 'data' in (answerOf(one)?.properties ?? {}));
    expect(lists.length).toBeGreaterThan(15);
    expect(lists.filter((one) => !isPaged(one)).map(({ path }) => path)).toEqual([]);
  });

  it('asks for a key in one way, before it looks at anything else', async () => {
    for (const route of routes.filter((one) => !isOpen(one))) {
      const { status, headers, body } = await send(route);
      expect([route.name, status, headers['content-type'], body.code]).toEqual([
        ...[route.name, 401, 'application/problem+json', 'API_KEY_UNAUTHORIZED'],
      ]);
    }
  });

  it('answers with times in UTC and money with its currency', async () => {
    let times = 0;
    for (const route of routes.filter(({ method }) => method === 'get')) {
      const { body } = await send(route, AUTHORIZED);
      for (const [at, object] of objectsIn(body)) {
        const where = `${route.name} ${at}`;
        if ('amountMinor' in object)
          expect([where, object]).toEqual([
            where,
            expect.objectContaining({ currency: expect.stringMatching(/^[A-Z]{3}$/) }),
          ]);
        for (const [name, value] of Object.entries(object)) {
          // Where the key of a receipt is published is no time.
          if (!/[a-z]At$/.test(name) || typeof value !== 'string' || where.endsWith('.consentReceipt'))
            continue;
          times += 1;
          expect([where, name, value]).toEqual([where, name, expect.stringMatching(INSTANT)]);
        }
      }
    }
    expect(times).toBeGreaterThan(30);
  });

  it('gives the first answer again to a write with the same key', async () => {
    const writes = routes.filter((route) => route.method !== 'get' && !isOpen(route));
    expect(writes.filter(takesKey).length).toBeGreaterThan(50);
    for (const route of writes.filter(takesKey)) {
      const headers = { ...AUTHORIZED, 'idempotency-key': `twice:${route.method}:${route.path}` };
      const first = await send(route, headers);
      const second = await send(route, headers);
      expect([route.name, first.status < 500, first.headers['idempotency-replayed']]).toEqual([
        ...[route.name, true, undefined],
      ]);
      expect([
        route.name,
        second.status,
        bodyOf(second.text),
        second.headers['idempotency-replayed'],
      ]).toEqual([...[route.name, first.status, bodyOf(first.text), 'true']]);
      expect(second.headers['content-type']).toBe(first.headers['content-type']);
    }
  });
});
