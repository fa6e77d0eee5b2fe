import fc from 'fast-check';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { arrayLiteral } from '../../src/infra/database/array-literal.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let client: Client;
beforeAll(async () => {
  database = await createTestDatabase();
  client = new Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

it('comes back from PostgreSQL as it went in, whatever the texts are', async () => {
  // PostgreSQL has no NUL in a text.
  const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', ''));
  const special = fc.constantFrom('null', '', ' ', '"', '\\', '\\"', '{', '}', ',', "'", 'a"b\\c', '\n');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(text, special, fc.constant(null))), async (values) => {
      const { rows } = await client.query('select $1::text[] as back', [arrayLiteral(values)]);
      expect(rows[0].back).toEqual(values);
    }),
    { numRuns: 50 },
  );
});

it('holds numbers and ids', async () => {
  const { rows } = await client.query('select $1::int[] as a, $2::bigint[]::text[] as b', [
    arrayLiteral([1, -2, 3]),
    arrayLiteral(['9223372036854775807', null]),
  ]);
  expect(rows[0]).toEqual({ a: [1, -2, 3], b: ['9223372036854775807', null] });
});
