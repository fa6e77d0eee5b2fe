import { describe, expect, it } from 'vitest';
import {
  type Condition,
  conditionSchema,
  leavesOf,
  MAX_DEPTH,
  MAX_NODES,
} from '../../../src/segments/condition.js';
import { fieldProblemsOf } from '../../../src/segments/segment-fields.js';

const nested = (levels: number): unknown => {
  let condition: unknown = { tag: 'a' };
  for (let level = 0; level < levels; level += 1) condition = { not: condition };
  return condition;
};
const messages = (given: unknown): string[] => {
  const result = conditionSchema.safeParse(given);
  return result.success
    ? []
    : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
};

describe('conditions', () => {
  it('are accepted as deep and as many as said, and no more', () => {
    expect(messages(nested(MAX_DEPTH - 1))).toEqual([]);
    expect(messages(nested(MAX_DEPTH))[0]).toContain(`${MAX_DEPTH} levels`);
    expect(messages(nested(100_000))[0]).toContain('levels');
    const many = (count: number): unknown => ({ any: Array.from({ length: count }, () => ({ tag: 'a' })) });
    expect(messages(many(MAX_NODES - 1))).toEqual([]);
    expect(messages(many(MAX_NODES))).toEqual([`: use at most ${MAX_NODES} conditions`]);
    expect(messages(many(1_000_000))).toEqual([`: use at most ${MAX_NODES} conditions`]);
  });

  it.each([
    ['nothing', {}, 'say one of'],
    ['no object', 'everybody', 'say one of'],
    ['null', null, 'say one of'],
    ['a kind it does not know', { all: [{ tag: 'a' }, { segment: 'x' }] }, 'all.1: say one of'],
    ['an inherited name', { constructor: 'x' }, 'say one of'],
    ['two kinds at once', { tag: 'a', list: 'b' }, ''],
    ['an empty all', { all: [] }, ''],
    ['an unknown status', { status: ['alive'] }, ''],
    ['two starts', { clicked: { withinDays: 3, since: '2026-01-01T00:00:00Z' } }, 'not both'],
    ['a time that no calendar has', { signedUp: { since: '0000-01-01T00:00:00Z' } }, 'such as 2026-01-31'],
    ['a zone that no clock has', { signedUp: { since: '2026-01-01T00:00:00+23:00' } }, 'such as 2026-01-31'],
    ['a time without a zone', { signedUp: { since: '2026-01-01T00:00:00' } }, ''],
    ['days that are none', { opened: { withinDays: 0 } }, ''],
    ['a step of no funnel', { opened: { step: 'a' } }, 'needs the funnel'],
    ['an arm of no test', { split: { arm: 'a' } }, 'which test'],
    ['an arm of a funnel without a step', { split: { funnel: 'a', arm: 'a' } }, 'which test'],
    ['an arm of two tests', { split: { broadcast: '1', funnel: 'a', step: 'b', arm: 'a' } }, 'which test'],
    ['received of anything', { received: {} }, 'which broadcast or funnel'],
    ['a NUL', { field: 'name', op: 'is', value: 'a\0' }, ''],
    ['half a character', { field: 'name', op: 'is', value: '\ud800' }, ''],
    ['an operator it does not know', { field: 'name', op: 'like', value: 'a' }, ''],
    ['SQL for a field', { field: `x'; drop`, op: 'isSet' }, 'key of a field'],
    ['a key that is no key', { list: `a' or true` }, 'use a key'],
  ])('are refused: %s', (_, given, message) => {
    const found = messages(given);
    expect(found.length).toBeGreaterThan(0);
    expect(JSON.stringify(conditionSchema.safeParse(given).error?.issues)).toContain(
      message.replace(/^.*: /, ''),
    );
  });

  it('name their leaves by place', () => {
    const tree: Condition = { all: [{ tag: 'a' }, { not: { any: [{ list: 'b' }] } }] };
    expect(leavesOf(tree).map(({ path }) => path)).toEqual(['all.0', 'all.1.not.any.0']);
    expect(leavesOf({ tag: 'a' })).toEqual([{ leaf: { tag: 'a' }, path: '' }]);
  });
});

describe('fields of conditions', () => {
  const definitions = new Map(
    (
      [
        ['age', 'number', []],
        ['size', 'choice', ['S', 'L']],
        ['born', 'date', []],
      ] as const
    ).map(([key, type, choices]) => [key, { key, label: key, type, choices: [...choices] }]),
  );
  it.each<[string, Condition, string]>([
    ['a field nobody defined', { field: 'secret', op: 'isSet' }, 'there is no field "secret"'],
    ['a column that is no field', { field: 'emailKey', op: 'isSet' }, 'there is no field'],
    [
      'a number asked like a text',
      { field: 'age', op: 'contains', value: '1' },
      'cannot be asked "contains"',
    ],
    ['a number compared with a text', { field: 'age', op: 'is', value: '1' }, 'a number'],
    ['a choice that is none', { field: 'size', op: 'oneOf', value: ['S', 'XL'] }, 'one of S, L'],
    ['a date that is none', { field: 'born', op: 'is', value: '2026-02-30' }, 'a date'],
    ['a column compared with a number', { field: 'name', op: 'is', value: 3 }, 'a text'],
  ])('are refused: %s', (_, condition, message) => {
    const [problem, ...more] = fieldProblemsOf({ not: condition }, definitions);
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ path: 'not', message: expect.stringContaining(message) });
  });
});
