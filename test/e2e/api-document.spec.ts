import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../support/app.js';
import { ROOT } from '../support/build.js';

interface Operation {
  description?: string;
  parameters: { name: string; in: string; description?: string }[];
  responses: Record<string, { description?: string }>;
}

let t: TestApp;
let operations: [name: string, operation: Operation][];
let paths: string[];
let document: object;

beforeAll(async () => {
  t = await startTestApp();
  const { body } = await t.http.get('/api/openapi.json').expect(200);
  document = body;
  paths = Object.keys(body.paths);
  operations = Object.entries<Record<string, Operation>>(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]): [string, Operation] => [`${method} ${path}`, one]),
  );
});
afterAll(async () => t.close());

describe('to somebody who writes a client of it, the document', () => {
  it('says what each parameter is', () => {
    const unsaid = operations.flatMap(([name, { parameters }]) =>
      parameters.filter(({ description }) => !description).map((one) => `${name} ${one.name}`),
    );
    expect(unsaid).toEqual([]);
  });

  it('declares each time as one, so that a client reads it as such', () => {
    const undeclared = [...fieldsOf(document, '')].flatMap(([where, field]) =>
      /(?:[a-z]At|Until|\.until)$/.test(where) && !isTime(field) ? [where] : [],
    );
    // The conditions of a segment take a day as well, and a receipt's key is published at an address.
    expect(undeclared.filter((where) => !/SegmentCondition|consentReceipt/.test(where))).toEqual([]);
  });

  it('names the currency beside each amount', () => {
    const fields = new Set([...fieldsOf(document, '')].map(([where]) => where));
    const amounts = [...fields].filter((where) => where.endsWith('Minor'));
    expect(amounts.length).toBeGreaterThan(50);
    expect(amounts.filter((where) => !fields.has(where.replace(/\w+$/, 'currency')))).toEqual([]);
  });

  it('has no two addresses that differ in the names of their parts alone, which OpenAPI forbids', () => {
    const shapes = paths.map((path) => path.replaceAll(/\{\w+\}/g, '{}'));
    expect(shapes.filter((shape, place) => shapes.indexOf(shape) !== place)).toEqual([]);
  });

  it('names no code that nothing answers with', () => {
    const named = operations.flatMap(([, { responses }]) =>
      Object.values(responses).flatMap(
        ({ description }) => description?.match(/(?<=`)[A-Z_]{6,}(?=`)/g) ?? [],
      ),
    );
    const written = execFileSync(
      'grep',
      ['-rhoE', `'[A-Z_]{6,}'|notFound\\('[^']+'`, 'src', '--include=*.ts'],
      { cwd: ROOT, encoding: 'utf8' },
    );
    const notFound = [...written.matchAll(/notFound\('([^']+)'/g)].map(
      ([, what = '']) => `${what.toUpperCase().replaceAll(' ', '_')}_NOT_FOUND`,
    );
    const known = new Set([...notFound, ...(written.match(/(?<=')[A-Z_]+(?=')/g) ?? []), ...SERVERS_OWN]);
    expect(named).toContain('TAG_IN_USE_CONFLICT');
    expect([...new Set(named)].filter((code) => !known.has(code))).toEqual([]);
  });

  it('has the form on other sites, which needs no key', async () => {
    const form = operations.find(([name]) => name === 'post /api/public/forms/{slug}');
    expect(form?.[1]).toMatchObject({
      security: [],
      responses: { 202: {}, 429: { headers: { 'Retry-After': {} } } },
    });
  });
});

/** All that a schema anywhere in it says of a field, by where it stands. */
function* fieldsOf(part: unknown, where: string): Generator<[where: string, field: Record<string, unknown>]> {
  if (typeof part !== 'object' || part === null) return;
  for (const [name, inner] of Object.entries(part)) {
    if (name === 'properties')
      for (const [key, field] of Object.entries(inner as Record<string, Record<string, unknown>>))
        yield [`${where}.${key}`, field];
    if (name !== 'example' && name !== 'examples') yield* fieldsOf(inner, `${where}.${name}`);
  }
}

function isTime(field: Record<string, unknown>): boolean {
  const kinds = (field['anyOf'] ?? field['oneOf'] ?? [field]) as Record<string, unknown>[];
  return kinds.every(({ type, format }) => type === 'null' || format === 'date-time');
}

/** The web server's, which stand beside their status and not in quotes. */
const SERVERS_OWN = ['REQUEST_MALFORMED', 'REQUEST_TOO_LARGE', 'REQUEST_MEDIA_TYPE_UNSUPPORTED'];

describe('a list', () => {
  it('read page by page has each row once, the newest first', async () => {
    for (let person = 0; person < 3; person += 1)
      await t.http
        .post('/p/niches')
        .type('form')
        .send({ email: `reader${person}@example.com` })
        .expect(200);
    await t.runDue();
    const lists = operations.flatMap(([name, { parameters }]) =>
      name.startsWith('get ') && !name.includes('{') && parameters.some((one) => one.name === 'cursor')
        ? [name.slice('get '.length)]
        : [],
    );
    const lengths: number[] = [];
    for (const path of lists) {
      const whole = await page(`${path}?limit=200`);
      const rows: unknown[] = [];
      for (let cursor: string | null = ''; cursor !== null;) {
        const next: Page = await page(`${path}?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`);
        rows.push(...next.data);
        cursor = next.nextCursor;
      }
      expect([path, rows]).toEqual([path, whole.data]);
      const ids = whole.data.map(({ id }) => Number(id)).filter((id) => !Number.isNaN(id));
      expect([path, ids]).toEqual([path, ids.toSorted((a, b) => b - a)]);
      lengths.push(whole.data.length);
    }
    expect(lengths.filter((length) => length > 1).length).toBeGreaterThan(3);
  });

  interface Page {
    data: { id?: string }[];
    nextCursor: string | null;
  }

  async function page(path: string): Promise<Page> {
    const { body } = await t.http.get(path).set('Authorization', `Bearer ${API_KEY}`).expect(200);
    return body as Page;
  }
});
