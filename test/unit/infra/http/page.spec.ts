import { assert, bigInt, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCursor, encodeCursor, idSchema, pageQuery, toPage } from '../../../../src/infra/http/page.js';

const rows = (...ids: number[]) => ids.map((id) => ({ id: String(id) }));
const idOf = ({ id }: { id: string }) => id;

describe('a page', () => {
  it('ends the list when no row is left over', () => {
    expect(toPage(rows(3, 2, 1), 3, idOf)).toEqual({ data: ['3', '2', '1'], nextCursor: null });
    expect(toPage([], 3, idOf)).toEqual({ data: [], nextCursor: null });
  });

  it('leaves out the row too many and points behind the last one shown', () => {
    const { data, nextCursor } = toPage(rows(9, 7, 5), 2, idOf);
    expect(data).toEqual(['9', '7']);
    expect(pageQuery.parse({ cursor: nextCursor }).cursor).toBe('7');
  });

  it('decodes what it encoded, for every id of the database', () => {
    assert(
      property(bigInt({ min: 1n, max: 9_223_372_036_854_775_807n }), (id) => {
        expect(decodeCursor(encodeCursor(String(id)))).toBe(String(id));
      }),
    );
  });

  it('takes nothing else for a cursor', () => {
    assert(
      property(string(), (text) => {
        const id = decodeCursor(text);
        expect(id === null || encodeCursor(id) === text).toBe(true);
      }),
    );
    for (const id of ['0', '-1', '01', '1;drop', '9223372036854775808', '']) {
      expect(decodeCursor(encodeCursor(id))).toBeNull();
    }
  });

  it.each([
    [{}, 50],
    [{ limit: '1' }, 1],
    [{ limit: '200' }, 200],
  ])('reads the limit of %j as %i', (query, limit) => {
    expect(pageQuery.parse(query)).toEqual({ limit });
  });

  it.each([
    { limit: '0' },
    { limit: '201' },
    { limit: '' },
    { limit: '1e9' },
    { cursor: 'x' },
    { page: '2' },
  ])('refuses %j', (query) => {
    expect(pageQuery.safeParse(query).success).toBe(false);
  });
});

describe('an id', () => {
  it.each(['1', '9223372036854775807'])('may be %s', (id) => {
    expect(idSchema.parse(id)).toBe(id);
  });

  it.each(['', '0', '-1', '1.0', 'abc', '9223372036854775808', '99999999999999999999', ' 1', '1\n'])(
    'may not be %j',
    (id) => {
      expect(idSchema.safeParse(id).success).toBe(false);
    },
  );
});
