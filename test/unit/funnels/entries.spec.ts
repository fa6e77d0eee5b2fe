import { describe, expect, it } from 'vitest';
import { readFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { lintDefinition, outlineOf } from '../../../src/funnels/lint/lint.js';
import { lostSequences } from '../../../src/funnels/lint/sequences-named.js';

/** `enterOn` stands in line 6, the second step in line 10. */
const funnel = (
  key: string,
  enterOn: string,
  reentry: string,
  step = `{ key: m, email: emails/story, delay: 1 day }`,
): string => `funnel: ${key}
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: ${key}, headline: Get it, consent: Send it to me }
sequence:
  enterOn: [${enterOn}]
  reentry: ${reentry}
  steps:
    - { key: hello, email: emails/welcome }
    - ${step}
`;

function lint(text: string): (readonly [string, number | null, string])[] {
  const file = readFunnelFile(text);
  if (!file.ok) return file.problems.map(({ rule, line, message }) => [rule, line, message]);
  const test = 'split: { judge: clicks, holdout: 10%, arms: [{ key: a }, { key: b, subject: Hi }] }';
  const mail = `{ key: m, email: emails/story, delay: 1 day }\n    - { key: tone, email: emails/story, ${test} }`;
  const other = readFunnelFile(funnel('other', '{ tag: x }', 'never', mail));
  if (!other.ok) throw new Error('the other funnel is wrong');
  const problems = [
    ...lintDefinition(file.definition, {
      now: new Date('2026-06-01T09:00:00Z'),
      others: [outlineOf(other.definition)],
    }),
    ...lostSequences(file.definition, ['other'], ({ key, path }) => ({
      ...{ rule: 'unknown-sequence', path },
      message: `no ${key}`,
    })),
  ];
  return problems.map(({ rule, path, message }) => [rule, file.lineOf(path), message]);
}

describe('what begins a sequence', () => {
  it.each<[string, string, string | null, string]>([
    ['{ clicked: hello }', 'never', 'entry-never-reached', 'nobody may join it again'],
    [
      '{ opened: hello, sequence: course }',
      'never',
      'entry-never-reached',
      'name another sequence, or set reentry',
    ],
    ['{ clicked: hello }', 'after 30 days', null, ''],
    ['{ opened: nothing }', 'always', 'unknown-step', '"nothing" is not an email step of the sequence'],
    ['{ clicked: m, sequence: other }', 'never', null, ''],
    [
      '{ clicked: x, sequence: other }',
      'never',
      'unknown-step',
      'of the sequence "other"; there are: hello, m, tone',
    ],
    ['{ clicked: x, sequence: nowhere }', 'never', 'unknown-sequence', 'no nowhere'],
    ['{ field: level, over: 3 }', 'never', null, ''],
    ['{ field: level, over: 3 }', 'per event', 'entry-never-reached', 'once for each person'],
    ['{ tag: x }', 'per event', 'entry-never-reached', 'once for each person'],
    ['{ event: cart-left }', 'per event', null, ''],
    ['{ clicked: hello }', 'per event', null, ''],
    ['{ purchased: car }', 'never', 'unknown-product', 'there is no product "car"'],
    ['{ field: level, over: 3, is: 2 }', 'never', 'wrong-value', 'exactly one of'],
    ['{ tag: x, sequence: other }', 'never', 'unknown-option', 'sequence'],
    ['{ clicked: m, within: 3 days }', 'never', 'unknown-option', 'within'],
  ])('is looked at: %s, joined again %s', (trigger, reentry, rule, message) => {
    const found = lint(funnel('course', trigger, reentry));
    expect(found.map(([name, line]) => [name, line])).toEqual(rule === null ? [] : [[rule, 6]]);
    expect(found[0]?.[2] ?? '').toContain(message);
  });

  it('may be a field that the sequence sets itself, but not round and round', () => {
    const round = (level: number, reentry: string): unknown =>
      lint(
        funnel('course', '{ field: level, over: 2 }', reentry, `{ key: give, set: { level: ${level} } }`),
      ).map(([rule, line]) => [rule, line]);
    expect(round(3, 'always')).toEqual([['loop-without-delay', 10]]);
    expect([round(2, 'always'), round(3, 'never')]).toEqual([[], []]);
  });
});

it.each<[string, string | null, string]>([
  ['sequence: other, split: tone, arm: a', null, ''],
  ['sequence: other, split: tone, arm: holdout', null, ''],
  ['sequence: other, split: tone, arm: c', 'unknown-arm', 'has no arm "c"; there are: a, b, holdout'],
  [
    'sequence: other, split: m, arm: a',
    'unknown-step',
    'not a step with a split test in the sequence "other"',
  ],
  ['sequence: nowhere, split: m, arm: a', 'unknown-sequence', 'no nowhere'],
  ['sequence: course, split: hello, arm: a', 'unknown-step', 'not a step with a split test before this one'],
])('the arm of a split test of another sequence may be asked about: %s', (asked, rule, message) => {
  const step = `{ key: q, if: { any: [{ ${asked} }, { tag: x }] }, then: [{ key: m, email: emails/story }], else: [] }`;
  const found = lint(funnel('course', '{ event: came }', 'never', step));
  expect(found.map(([name, line]) => [name, line])).toEqual(rule === null ? [] : [[rule, 10]]);
  expect(found[0]?.[2] ?? '').toContain(message);
});
