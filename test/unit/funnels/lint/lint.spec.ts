import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readFunnelFile } from '../../../../src/funnels/yaml/funnel-file.js';
import { lintDefinition, outlineOf } from '../../../../src/funnels/lint/lint.js';
import { findingOf, RULES, type Finding } from '../../../../src/funnels/lint/rules.js';
import { EVERY_KEY, OTHER_FUNNEL } from '../../../support/every-key.js';

const NOW = new Date('2026-06-01T09:00:00Z');
const ROOT = new URL('../../../..', import.meta.url).pathname;

interface Parts {
  steps?: string;
  sequence?: string;
  products?: string;
  offers?: string;
  form?: string;
}

const GO = '{ key: go, move: other }';
const GOOD_STEPS = '- { key: hello, email: emails/welcome }';
/** A funnel with nothing wrong, except for what the parts say. Its steps begin at line 10. */
const funnel = (
  {
    steps = '',
    sequence = 'priority: 5',
    products = '- { key: kit, name: Kit, price: 49.00 EUR, delivers: [files/kit.zip] }',
    offers = '- { key: kit, product: kit }',
    form = 'form: { slug: course, headline: Get it, consent: Send it to me }',
  }: Parts,
  key = 'course',
): string => `funnel: ${key}
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
${form}
sequence:
  ${sequence}
  exitOn: [{ purchased: kit }]
  steps:
    ${GOOD_STEPS}
${indented(steps, 4)}
products:
${indented(products, 2)}
offers:
${indented(offers, 2)}
`;
const indented = (lines: string, by: number): string =>
  lines
    .split('\n')
    .map((line) => (line === '' ? '' : `${' '.repeat(by)}${line}`))
    .join('\n');

function lint(text: string, ...others: string[]): Finding[] {
  const file = readFunnelFile(text);
  if (!file.ok) return file.problems;
  const outlines = others.map((other) => {
    const read = readFunnelFile(other);
    if (!read.ok) throw new Error(JSON.stringify(read.problems));
    return outlineOf(read.definition);
  });
  return lintDefinition(file.definition, { now: NOW, others: outlines }).map((problem) =>
    findingOf(problem, file.lineOf(problem.path)),
  );
}

const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;
/** Two other mails on the two ways of a branch. */
const FORK = `- key: fork
  if: { tag: old }
  then: [{ key: left, email: emails/story, delay: 1 day }]
  else: [{ key: right, email: emails/story, delay: 1 day }]`;
const ask = (condition: string): string =>
  `- key: ask\n  if: ${condition}\n  then: [{ key: more, email: emails/story }]`;
const askAt = (condition: string): string => `${FORK}\n${ask(condition)}`;

describe('the funnel linter', () => {
  it.each([
    ['the demo funnel', async () => readFile(join(ROOT, 'config/funnels/niche-ebook.yaml'), 'utf8')],
    ['a plain funnel', async () => Promise.resolve(funnel({}))],
  ])('is silent about %s', async (_, text) => {
    expect(lint(await text())).toEqual([]);
  });

  it('has nothing but a hint or two about a funnel that uses every option', () => {
    expect(lint(EVERY_KEY, OTHER_FUNNEL).map(({ rule }) => rule)).toEqual(['product-without-delivery']);
  });

  const steps = (text: string): string => funnel({ steps: text });
  /** Name of the rule, line, a part of the message, the seeded funnel. One defect each. */
  it.each<[string, number, string, string]>([
    ['unreadable-file', 2, '', 'funnel: x\ntitle: [a'],
    ['unreadable-file', 1, 'options by name', '- a'],
    ['unknown-option', 10, 'there are: key, email', steps(mail('x', ', colour: red'))],
    ['missing-value', 10, 'name one of email, if', steps('- { key: x }')],
    ['wrong-value', 10, 'is not a duration', steps(mail('x', ', delay: soon'))],
    ['missing-consent', 4, 'is missing', funnel({ form: 'form: { slug: course, headline: Get it }' })],
    [
      'missing-consent',
      4,
      'must not be empty',
      funnel({ form: 'form: { slug: course, headline: Get it, consent: " " }' }),
    ],
    [
      'offer-without-price',
      12,
      'is missing',
      funnel({ products: '- { key: kit, name: Kit, delivers: [files/kit.zip] }' }),
    ],
    ['duplicate-key', 10, 'a second step has the key "hello"', steps(mail('hello'))],
    ['unknown-offer', 10, 'there is no offer "kat"; there are: kit', steps(mail('x', ', offer: kat'))],
    [
      'unknown-product',
      15,
      'there is no product "kat"; there are: kit',
      funnel({ offers: '- { key: kit, product: kit }\n- { key: kat, product: kat }' }),
    ],
    ['unknown-product', 11, 'there is no product "car"', steps(ask('{ purchased: car }'))],
    [
      'unknown-step',
      11,
      '"later" is not an email step before this one; there are: hello',
      steps(ask('{ clicked: later }')),
    ],
    [
      'unreachable-step',
      11,
      'after "x", which ends the sequence',
      steps('- { key: x, end: true }\n' + mail('y')),
    ],
    [
      'unreachable-step',
      14,
      'after "x", all of whose ways end the sequence',
      steps(
        '- key: x\n  if: { tag: a }\n  then: [{ key: t, end: true }]\n  else: [{ key: e, move: other }]\n' +
          mail('y'),
      ),
    ],
    ['unknown-sequence', 10, 'cannot move people to itself', steps('- { key: x, move: course }')],
    ['empty-branch', 10, 'a branch needs steps', steps('- { key: x, if: { tag: a } }')],
    ['conflicting-times', 10, 'leave out one of the two', steps('- { key: x, wait: 1 day, delay: 1 day }')],
    ['conflicting-times', 10, 'leave out the delay', steps(mail('x', ', delay: 1 day, until: 2026-12-01'))],
    [
      'conflicting-times',
      10,
      'plus or minus',
      steps(mail('x', ', until: { field: trialEnd, plus: 1 day, minus: 1 day }')),
    ],
    [
      'impossible-time',
      10,
      'none of these days is open in the window',
      steps(mail('x', ', delay: 1 day, onDays: [sun], window: { days: [mon], from: "08:00", to: "09:00" }')),
    ],
    [
      'impossible-time',
      10,
      'inside the quiet hours',
      steps(mail('x', ', at: "03:00", quietHours: { from: "20:00", to: "08:00" }')),
    ],
    ['owners-without-offer', 10, 'belongs to a step with an offer', steps(mail('x', ', toOwners: send'))],
    [
      'offer-to-owners',
      10,
      'who begins by getting "kit" owns it',
      funnel({ sequence: 'enterOn: [{ purchased: kit }]', steps: mail('x', ', offer: kit, delay: 1 day') }),
    ],
    ['deadline-without-offer', 10, 'belongs to a step with an offer', steps(mail('x', ', deadline: 3 days'))],
    ['bump-mismatch', 14, 'another product', funnel({ offers: '- { key: kit, product: kit, bump: kit }' })],
    ['date-passed', 10, '2026-05-01 has passed, so nobody waits', steps(mail('x', ', until: 2026-05-01'))],
    [
      'date-passed',
      10,
      '2026-05-30 has passed, so the step is passed over',
      steps(mail('x', ', expires: 2026-05-30')),
    ],
    [
      'never-in-time',
      10,
      'when it has expired',
      steps(mail('x', ', until: 2026-12-24, expires: 2026-12-20')),
    ],
    // A Saturday and a Sunday: no Monday before the end.
    [
      'never-in-time',
      10,
      'when it has expired',
      steps(mail('x', ', until: 2026-12-19, expires: 2026-12-20, onDays: [mon]')),
    ],
    ...[
      mail('x', ', delay: 30 days, expires: 2026-06-20'),
      `- { key: w, wait: 30 days }\n${mail('x', ', expires: 2026-06-20')}`,
      `${mail('w', ', until: 2026-12-24')}\n${mail('x', ', expires: 2026-12-20')}`,
      `- { key: b, if: { tag: a, within: 30 days }, then: [{ key: e, end: true }], else: [{ key: o, tag: o }] }\n${mail('x', ', expires: 2026-06-20')}`,
    ].map((text): [string, number, string, string] => [
      'never-in-time',
      text.includes('\n') ? 11 : 10,
      'who joins from now on comes to the step when it has expired',
      steps(text),
    ]),
    ['condition-never-true', 11, 'its opposite', steps(ask('{ all: [{ tag: a }, { not: { tag: a } }] }'))],
    [
      'condition-never-true',
      11,
      'the field "level"',
      steps(ask('{ all: [{ field: level, over: 5 }, { field: level, under: 5 }] }')),
    ],
    [
      'condition-never-true',
      11,
      'the field "country"',
      steps(ask('{ all: [{ field: country, is: DE }, { field: country, is: FR }] }')),
    ],
    [
      'condition-never-true',
      11,
      'the field "country"',
      steps(ask('{ all: [{ field: country, is: DE }, { field: country, exists: false }] }')),
    ],
    [
      'condition-never-true',
      11,
      'the field "level"',
      steps(ask('{ all: [{ field: level, is: 3 }, { not: { field: level, under: 4 } }] }')),
    ],
    [
      'condition-never-true',
      11,
      '"hello" is never "skipped"; it may be: ran',
      steps(ask('{ step: hello, was: skipped }')),
    ],
    [
      'condition-never-true',
      15,
      'nobody comes to both "left" and "right"',
      steps(askAt('{ all: [{ clicked: left }, { opened: right }] }')),
    ],
    [
      'condition-never-true',
      14,
      'who comes here has not been at "left"',
      steps(
        '- key: fork\n  if: { tag: old }\n  then: [{ key: left, email: emails/story, delay: 1 day }]\n  else:\n    - { key: ask, if: { clicked: left }, then: [{ key: more, email: emails/story }] }',
      ),
    ],
    [
      'condition-never-true',
      12,
      'its opposite',
      steps(
        '- key: ask\n  switch:\n    - { if: { all: [{ tag: a }, { not: { tag: a } }] }, then: [{ key: m, end: true }] }\n    - { if: { tag: b }, then: [] }',
      ),
    ],
    [
      'condition-always-true',
      11,
      'nobody takes else',
      steps(ask('{ any: [{ tag: a }, { not: { tag: a } }] }')),
    ],
    [
      'case-never-reached',
      13,
      'a case before it holds',
      steps(
        '- key: ask\n  switch:\n    - { if: { tag: a }, then: [{ key: m, end: true }] }\n    - { if: { all: [{ tag: a }, { tag: b }] }, then: [] }',
      ),
    ],
    [
      'product-not-offered',
      13,
      'no offer sells "extra"',
      funnel({
        products:
          '- { key: kit, name: Kit, price: 1 EUR, licence: true }\n- { key: extra, name: E, price: 1 EUR, licence: true }',
      }),
    ],
    [
      'product-without-delivery',
      12,
      'gets nothing',
      funnel({ products: '- { key: kit, name: Kit, price: 49.00 EUR }' }),
    ],
    [
      'offer-for-nothing',
      12 + 2,
      'costs nothing',
      funnel({ offers: '- { key: kit, product: kit, discount: 100% }' }),
    ],
    [
      'offer-for-nothing',
      12 + 2,
      'costs nothing',
      funnel({ products: '- { key: kit, name: Kit, price: 0 EUR, licence: true }' }),
    ],
  ])('%s at line %i: %s', (rule, line, message, text) => {
    expect(lint(text)).toEqual([
      expect.objectContaining({ rule, line, severity: RULES[rule as keyof typeof RULES].severity }),
    ]);
    expect(lint(text)[0]?.message).toContain(message);
  });

  it('finds goals and exits that nothing leads to', () => {
    const products =
      '- { key: kit, name: Kit, price: 1 EUR, licence: true }\n- { key: extra, name: E, price: 1 EUR, licence: true }';
    const text = funnel({
      products,
      steps: '- { key: bought, goal: { purchased: extra } }\n' + mail('thanks'),
    });
    const found = lint(text.replace('purchased: kit }]', 'purchased: extra }]'));
    expect(found.map(({ rule, line, field }) => [rule, line, field])).toEqual([
      ['product-not-offered', 14, 'products.1'],
      ['goal-never-reached', 10, 'sequence.steps.1.goal'],
      ['goal-never-reached', 7, 'sequence.exitOn.0.purchased'],
    ]);
    // A tag or an event may come from anywhere.
    const open = text.replace('goal: { purchased: extra }', 'goal: [{ purchased: extra }, { tag: gold }]');
    expect(lint(open).map(({ rule }) => rule)).toEqual(['product-not-offered']);
  });

  const always = 'reentry: always';
  const other = (text: string, sequence = always): string =>
    funnel({ steps: text, sequence, products: '', offers: '' }, 'other')
      .replace('  exitOn: [{ purchased: kit }]\n', '')
      .replace('products:\n\noffers:\n\n', '');
  const BACK = '- { key: back, move: course';
  const THERE = funnel({ sequence: always, steps: `- ${GO}` });
  it.each<[string, string[], string, string]>([
    ['loop-without-delay', ['course → other → course'], THERE, other('- { key: back, move: course }')],
    ['a wait on the way', [], THERE, other('- { key: back, move: course, delay: 1 hour }')],
    ['days, one of them today', ['go round course'], THERE, other(`${BACK}, onDays: [mon, tue, wed] }`)],
    ['a date, which goes by', ['go round course'], THERE, other(`${BACK}, until: 2027-01-01 }`)],
    [
      'a branch that may wait, but need not',
      ['course → other'],
      funnel({ sequence: always, steps: `- { key: b, if: { tag: a, within: 1 day }, then: [${GO}] }` }),
      other('- { key: back, move: course }'),
    ],
    [
      'a branch that has waited',
      [],
      funnel({
        sequence: always,
        steps: `- { key: b, if: { tag: a, within: 1 day }, then: [{ key: e, end: true }], else: [${GO}] }`,
      }),
      other('- { key: back, move: course }'),
    ],
    [
      'the goal of nobody joining again',
      ['may not join it again'],
      funnel({ steps: `- ${GO}` }),
      other('- { key: back, move: course }', 'priority: 5'),
    ],
    [
      'a number of days',
      [],
      funnel({ steps: `- ${GO}` }),
      other('- { key: back, move: course }', 'reentry: after 2 days'),
    ],
    [
      'a tag that begins the sequence that gives it',
      ['go round course → course'],
      funnel({ sequence: 'enterOn: [{ tag: x }]\n  reentry: always', steps: '- { key: give, tag: x }' }),
      other(mail('m')),
    ],
    [
      'a tag in a sequence that goes on',
      [],
      funnel({
        sequence: 'enterOn: [{ tag: x }]\n  reentry: always',
        steps: '- { key: give, tag: x }\n' + mail('m', ', delay: 1 day'),
      }),
      other(mail('m')),
    ],
    [
      'tags from one to the other',
      ['course → other → course'],
      funnel({ sequence: 'enterOn: [{ tag: x }]\n  reentry: always', steps: '- { key: give, tag: y }' }),
      other('- { key: give, tag: x }', 'enterOn: [{ tag: y }]\n  reentry: always'),
    ],
    ['a move that leads away', [], THERE, other(mail('m'))],
  ])('looks for ways round: %s', (_, messages, text, second) => {
    const found = lint(text, second);
    expect(found.map(({ message }) => message)).toEqual(
      messages.map((message) => expect.stringContaining(message) as string),
    );
    const place = text.split('\n').findIndex((line) => /key: (go|give|b),/.test(line)) + 1;
    expect(found.every(({ line }) => line === place)).toBe(true);
  });

  it('says nothing certain about a condition that is too large to look at', () => {
    const pair = (n: number): string => `{ any: [{ tag: a${n} }, { tag: b${n} }] }`;
    const all = Array.from({ length: 14 }, (_, n) => pair(n)).join(', ');
    expect(lint(funnel({ steps: ask(`{ all: [${all}, { tag: x }, { not: { tag: x } }] }`) }))).toEqual([]);
  });
});
