import Ajv2020 from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../support/app.js';

interface Operation {
  responses: Record<string, { description: string }>;
  requestBody?: { required: boolean; content: Record<string, { schema: object; example?: object }> };
}
interface Shown {
  method: 'post' | 'put' | 'patch';
  path: string;
  required: boolean;
  schema: object;
  example: object | undefined;
  responses: Operation['responses'];
}

/** What the demonstration has at places that are named by a word; numbers are those of its first rows. */
const NAMES: Readonly<Record<string, string>> = {
  '/api/v1/forms/{slug}': 'niches',
  '/api/v1/funnels/{key}': 'spring',
  '/api/v1/products/{key}': 'launch-kit',
  '/api/v1/offers/{slug}': 'launch-kit',
};

let t: TestApp;
let document: object;
let bodies: Shown[];

beforeAll(async () => {
  t = await startTestApp();
  const { body } = await t.http.get('/api/openapi.json').expect(200);
  document = body;
  bodies = Object.entries<Record<string, Operation>>(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { requestBody, responses }]) => {
      const json = requestBody?.content['application/json'];
      if (!requestBody || !json) return [];
      return [
        {
          method: method as Shown['method'],
          path,
          required: requestBody.required,
          responses,
          example: json.example,
          schema: json.schema,
        },
      ];
    }),
  );
});
afterAll(async () => t.close());

describe('the bodies that the API describes', () => {
  it('come each with an example that is one', () => {
    expect(bodies.length).toBeGreaterThan(40);
    const ajv = new Ajv2020.default({ strict: false, logger: false, validateFormats: false });
    ajv.addSchema({ $id: 'document', ...document });
    for (const { method, path, schema, example } of bodies) {
      const inDocument = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as object;
      const isOne = ajv.compile(inDocument);
      expect([method, path, isOne(example), isOne.errors]).toEqual([method, path, true, null]);
    }
  });

  it('are understood when the examples are sent as they stand', async () => {
    for (const { method, path, example, responses } of bodies) {
      const address = path.replace(
        /\{(\w+)\}/,
        (_, name) => NAMES[path] ?? (name === 'id' ? '1' : 'niche-ebook'),
      );
      const answer = await t.http[method](address)
        .set('Authorization', `Bearer ${API_KEY}`)
        .set('Idempotency-Key', `${method}:${path}`)
        .send(example);
      const { code, errors } = (answer.status < 400 ? {} : answer.body) as {
        code?: string;
        errors?: unknown;
      };
      const isUnderstood = answer.status < 300 || [404, 409].includes(answer.status);
      expect([method, path, isUnderstood, code, errors]).toEqual([method, path, true, code, undefined]);
      const said = responses[answer.status]?.description;
      expect([method, path, answer.status, said]).toEqual([
        ...[method, path, answer.status],
        code === undefined ? 'The answer.' : expect.stringContaining(`\`${code}\``),
      ]);
    }
  });

  it('may be left out where the document says so, and nowhere else', async () => {
    for (const { method, path, required } of bodies) {
      const address = path.replace(
        /\{(\w+)\}/,
        (_, name) => NAMES[path] ?? (name === 'id' ? '999999999' : 'nothing'),
      );
      const answer = await t.http[method](address).set('Authorization', `Bearer ${API_KEY}`);
      expect([method, path, answer.body.code === 'REQUEST_INVALID']).toEqual([method, path, required]);
    }
  });
});
