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

beforeAll(async () => {
  t = await startTestApp();
  const { body } = await t.http.get('/api/openapi.json').expect(200);
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
