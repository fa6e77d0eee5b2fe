import { describe, expect, it } from 'vitest';
import { changeText, funnelDiff } from '../../../../src/funnels/changes/funnel-diff.js';
import { documentsOf } from '../../../../src/funnels/yaml/funnel-documents.js';
import { readFunnelFile, writeFunnelFile } from '../../../../src/funnels/yaml/funnel-file.js';
import { funnelProblems } from '../../../../src/funnels/lint/funnel-problems.js';
import type { FunnelDefinition } from '../../../../src/funnels/schemas/funnel.schemas.js';

const GOOD = `funnel: guide
title: A guide
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: guide, headline: Get it, consent: Send it to me }
sequence:
  window: { days: [mon, fri], from: "08:00", to: "19:00", timezone: subscriber }
  steps:
    - { key: hello, email: emails/welcome }
    - key: pick
      if: { clicked: hello, within: 3 days }
      then: [{ key: more, email: emails/story, delay: 1 day }]
    - { key: pitch, email: emails/offer, offer: kit, delay: 1 day, deadline: 72 hours }
  exitOn: [{ purchased: kit }]
products:
  - { key: kit, name: Kit, price: 49.00 EUR }
offers:
  - { key: kit, product: kit, discount: 30% }
`;

function definitionOf(text: string): FunnelDefinition {
  const file = readFunnelFile(text);
  if (!file.ok) throw new Error(JSON.stringify(file.problems));
  return file.definition;
}

function problemsOf(text: string): { line: number | null; field: string; message: string }[] {
  const file = readFunnelFile(text);
  return file.ok ? [] : file.problems;
}

describe('a funnel file', () => {
  it('reads a complete funnel and writes it back so that it reads the same', () => {
    const definition = definitionOf(GOOD);
    expect(definitionOf(writeFunnelFile(definition))).toEqual(definition);
    expect(writeFunnelFile(definitionOf(writeFunnelFile(definition)))).toBe(writeFunnelFile(definition));
  });

  it.each([
    [
      'an option nobody knows',
      GOOD.replace('price: 49.00 EUR', 'price: 49.00 EUR, colour: red'),
      15,
      'products.0.colour',
    ],
    ['a product without a price', GOOD.replace(', price: 49.00 EUR', ''), 15, 'products.0.price'],
    ['a price nobody can read', GOOD.replace('49.00 EUR', '49.001 EUR'), 15, 'products.0.price'],
    [
      'a delay nobody can read',
      GOOD.replace('delay: 1 day }]', 'delay: soon }]'),
      11,
      'sequence.steps.1.then.0.delay',
    ],
    [
      'a sender without a postal address',
      GOOD.replace(', postalAddress: 1 Main St', ''),
      3,
      'sender.postalAddress',
    ],
    [
      'a step of an unknown kind',
      GOOD.replace('email: emails/welcome', 'teleport: home'),
      8,
      'sequence.steps.0.teleport',
    ],
  ])('refuses %s with its line and field', (_, text, line, field) => {
    expect(problemsOf(text)).toEqual(expect.arrayContaining([expect.objectContaining({ line, field })]));
  });

  it.each([
    ['a directive before its marker', `%YAML 1.2\n---\n${GOOD}`, 1],
    ['an end marker', `${GOOD}...\n# Nothing more.\n`, 1],
    ['two, each with a directive', `%YAML 1.2\n---\n${GOOD}...\n%YAML 1.2\n---\n${GOOD}`, 2],
  ])('is one of the funnels of a text with %s', (_, text, count) => {
    const documents = documentsOf(text);
    expect(documents).toHaveLength(count);
    for (const document of documents) expect(definitionOf(document.text)).toEqual(definitionOf(GOOD));
  });

  it('refuses broken YAML with its line', () => {
    expect(problemsOf('funnel: x\ntitle: [a')[0]?.line).toBe(2);
  });

  it.each(['', '# only a comment\n', '- a\n', 'hello\n', '~\n', '7\n'])(
    'refuses %j, which is no funnel',
    (text) => {
      expect(problemsOf(text)).toEqual([
        expect.objectContaining({ line: 1, field: '', message: expect.stringContaining('options by name') }),
      ]);
    },
  );

  it('refuses aliases that stand for millions of values, in words', () => {
    const levels = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (const [name, of] of ['ba', 'cb', 'dc', 'ed', 'fe'].map((pair) => [...pair]))
      levels.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${of}`).join(', ')}]`);
    expect(problemsOf(levels.join('\n'))).toEqual([
      expect.objectContaining({ line: 1, field: '', message: expect.stringContaining('alias') }),
    ]);
  });

  it.each([
    [
      'an offer without its product',
      GOOD.replace('product: kit', 'product: kitt'),
      'there is no product "kitt"; there are: kit',
    ],
    [
      'a step with an offer that is not there',
      GOOD.replace('offer: kit,', 'offer: kat,'),
      'there is no offer "kat"; there are: kit',
    ],
    [
      'a branch on a mail that comes later',
      GOOD.replace('clicked: hello', 'clicked: pitch'),
      '"pitch" is not an email step before this one; there are: hello',
    ],
    [
      'two steps with one key',
      GOOD.replace('key: more', 'key: hello'),
      'a second step has the key "hello"; each key is used once',
    ],
  ])('finds %s', (_, text, message) => {
    expect(funnelProblems(definitionOf(text)).map((problem) => problem.message)).toContain(message);
  });
});

describe('the difference between two funnels', () => {
  const state = (text: string, sources = {}) => ({ definition: definitionOf(text), sources });

  it('is empty for the same funnel', () => {
    expect(funnelDiff(state(GOOD), state(GOOD))).toEqual([]);
  });

  it('says in words what is new, changed and gone', () => {
    const next = GOOD.replace('49.00 EUR', '59.00 EUR').replace('key: more', 'key: further');
    expect(funnelDiff(state(GOOD), state(next)).map(changeText)).toEqual([
      '~ step pick: then ["more"] → ["further"]',
      '+ step further',
      '~ product kit: price 49.00 EUR → 59.00 EUR',
      '- step more',
    ]);
  });

  it('notices another order of products and of offers, which the file that is exported keeps', () => {
    const two = GOOD.replace(
      'offers:\n',
      '  - { key: book, name: Book, price: 9.00 EUR }\noffers:\n  - { key: book, product: book }\n',
    );
    const { products, offers, ...rest } = definitionOf(two);
    const turned = {
      definition: { ...rest, products: products.toReversed(), offers: offers.toReversed() },
      sources: {},
    };
    expect(funnelDiff(state(two), turned).map(changeText)).toEqual([
      '~ funnel guide: order of products kit, book → book, kit',
      '~ funnel guide: order of offers book, kit → kit, book',
    ]);
  });

  it('notices a mail whose text changed', () => {
    const changes = funnelDiff(state(GOOD, { 'emails/offer': 'a' }), state(GOOD, { 'emails/offer': 'b' }));
    expect(changes.map(changeText)).toEqual(['~ email emails/offer: its content changed']);
  });
});
