import { describe, expect, it } from 'vitest';
import { assign } from '../../../../src/experiments/assign.js';
import { decide } from '../../../../src/experiments/decide.js';
import { breaches } from '../../../../src/experiments/guard-rails.js';
import { nextShares } from '../../../../src/experiments/thompson.js';
import { readFunnelFile, writeFunnelFile } from '../../../../src/funnels/yaml/funnel-file.js';
import { funnelProblems } from '../../../../src/funnels/lint/funnel-problems.js';
import { sequenceDefinition } from '../../../../src/funnels/publish/sequence-definition.js';
import { HOLDOUT } from '../../../../src/segments/held-out.js';
import { isMail, type Split } from '../../../../src/sequences/steps/definition.js';
import { cohort, dataOf } from '../../experiments/made-up-test.js';

const file = (step: string, sequence = ''): string => `funnel: course
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: course, headline: Get it, consent: Send it to me }
sequence:
  priority: 5
${sequence === '' ? '' : `  ${sequence}\n`}  steps:
    - { key: x, email: emails/story, ${step} }
products:
  - { key: kit, name: Kit, price: 49.00 EUR }
  - { key: extra, name: Extra, price: 20.00 EUR }
  - { key: us-kit, name: Kit, price: 59.00 USD }
offers:
  - { key: kit, product: kit, bump: extra }
`;
const read = (text: string) => {
  const found = readFunnelFile(text);
  if (!found.ok) throw new Error(JSON.stringify(found.problems));
  return found;
};
const compiled = (step: string, sequence = ''): Split => {
  const { definition } = read(file(step, sequence));
  expect(funnelProblems(definition)).toEqual([]);
  const made = sequenceDefinition(definition, {
    templateId: (key, subject) => `${key}|${subject ?? ''}`,
    offer: () => undefined,
  });
  const node = made.nodes.find(isMail);
  if (!node?.split) throw new Error('no test was compiled');
  return node.split;
};
const arms = (...own: string[]): string => `arms: [${own.map((one) => `{ ${one} }`).join(', ')}]`;
const TWO = arms('key: a', 'key: b, subject: Another');

describe('the split test of a step', () => {
  it('is read with every option, and written back', () => {
    const text = file(
      `offer: kit, deadline: 3 days, delay: 1 day, split: { judge: revenue, within: 10 days, horizon: 90 days, alpha: 0.1, holdout: 10%, cap: 80.00 EUR, optimise: thompson, explore: 20%, guardRails: { unsubscribes: 1%, complaints: 0.1% }, ${arms('key: a, weight: 2', 'key: b, subject: "{{ subscriber.firstName }}, look", email: emails/other, offer: kit, deadline: 2 days, delay: 2 days, at: "18:00"')} }`,
    );
    const { definition } = read(text);
    expect(funnelProblems(definition)).toEqual([]);
    const again = readFunnelFile(writeFunnelFile(definition));
    expect(again.ok && again.definition).toEqual(definition);
  });

  it('fills in what is left out', () => {
    const split = compiled(`split: { judge: clicks, ${TWO} }`);
    expect(split.terms).toEqual({
      judge: 'clicks',
      arms: [
        { key: 'a', weight: 1 },
        { key: 'b', weight: 1 },
      ],
      alpha: 0.05,
      holdoutBps: 0,
      optimise: null,
      guardRails: { unsubscribes: null, complaints: null },
      withinSeconds: 3 * 86_400 + 3 * 3_600,
      horizonSeconds: 60 * 86_400 + 3 * 3_600,
      cap: null,
      isTimed: false,
    });
    expect(split.arms.map(({ key, templateId }) => [key, templateId])).toEqual([
      ['a', 'emails/story|'],
      ['b', 'emails/story|Another'],
    ]);
    const money = compiled(`split: { judge: revenue, optimise: thompson, ${TWO} }`).terms;
    expect(money.cap).toEqual({ amountMinor: 6900, currency: 'EUR' });
    expect(money).toMatchObject({
      optimise: { explore: 0.1 },
      guardRails: { unsubscribes: 0.02, complaints: 0.003 },
    });
  });

  it('shares out, holds out, judges and stops as its file says', () => {
    const termsOf = (more: string) => compiled(`offer: kit, split: { judge: revenue, ${more} }`).terms;
    const people = Array.from({ length: 2_000 }, (_, index) => String(index + 1));
    const held = (more: string): number => {
      const test = { test: 'course/x', ...termsOf(`${more}${TWO}`) };
      return people.filter((id) => assign(test, [0.5, 0.5], id) === HOLDOUT).length / people.length;
    };
    expect(held('')).toBe(0);
    expect(held('holdout: 10%, ')).toBeLessThan(0.15);
    expect(held('holdout: 50%, ')).toBeGreaterThan(0.4);

    const weighted = termsOf(arms('key: a, weight: 3', 'key: b, subject: Another'));
    expect(nextShares(weighted, [])).toEqual([0.75, 0.25]);
    const known = [cohort(0, 2_000, 20), cohort(1, 2_000, 400)];
    const least = (more: string): number => Math.min(...nextShares(termsOf(`${more}${TWO}`), known));
    expect(least('')).toBe(0.5);
    expect(least('optimise: thompson, explore: 50%, ')).toBeGreaterThanOrEqual(0.25);
    expect(least('optimise: thompson, explore: 10%, ')).toBeLessThan(0.1);

    const verdict = (alpha: number): string =>
      decide(termsOf(`alpha: ${alpha}, ${TWO}`), dataOf([cohort(0, 500, 25), cohort(1, 500, 60)])).verdict
        .kind;
    expect([verdict(0.2), verdict(0.001)]).toEqual(['winner', 'running']);

    const harms = [{ arm: 1, people: 2_000, unsubscribes: 100, complaints: 40 }];
    const broken = (rails: string): (string | undefined)[] =>
      breaches(termsOf(`guardRails: { ${rails} }, ${TWO}`), harms).map(({ rail }) => rail);
    expect(broken('complaints: 0.5%')).toEqual(['complaints']);
    expect(broken('unsubscribes: 2%')).toEqual(['unsubscribes']);
    expect(broken('unsubscribes: 10%, complaints: 10%')).toEqual([]);
  });

  it('counts a person for no more than the cap of its file', () => {
    const cap = (more: string) => compiled(`split: { judge: revenue, ${more}${TWO} }`).terms.cap?.amountMinor;
    expect([cap(''), cap('cap: 80.00 EUR, ')]).toEqual([6900, 8000]);
  });

  it('counts people later where arms differ in their time, by the longest of them', () => {
    const DAY = 86_400;
    const within = (step: string, sequence = ''): number => compiled(step, sequence).terms.withinSeconds;
    const test = (own: string): string => `split: { judge: clicks, within: 24 hours, ${own} }`;
    expect(within(test(TWO))).toBe(DAY);
    expect(within(test(arms('key: a', 'key: b, delay: 48 hours')))).toBe(3 * DAY);
    expect(within(test(arms('key: a, at: "09:00"', 'key: b, at: "18:00"')))).toBe(2 * DAY);
    const window = 'window: { days: [mon], from: "08:00", to: "10:00" }';
    expect(within(test(arms('key: a', 'key: b, delay: 48 hours')), window)).toBe(10 * DAY);
  });

  it('is another test as soon as anything that is compared or agreed is another', () => {
    const name = (step: string): string => compiled(step).experiment;
    const plain = `split: { judge: clicks, ${TWO} }`;
    expect(name(plain)).toBe(
      name(`delay: 0 minutes, onDays: [mon], ${plain}`).slice(0, 9) + name(plain).slice(9),
    );
    expect(name(`onDays: [mon], ${plain}`)).toBe(name(plain));
    expect(name(`split: { judge: clicks, alpha: 0.1, ${TWO} }`)).not.toBe(name(plain));
    expect(name(`split: { judge: clicks, ${arms('key: a', 'key: b, subject: A third')} }`)).not.toBe(
      name(plain),
    );
    expect(compiled(plain).test).toBe('course/x');
  });

  const refused = (text: string): { line: number | null; field: string; message: string }[] => {
    const found = readFunnelFile(text);
    if (!found.ok) return found.problems.map(({ line, field, message }) => ({ line, field, message }));
    return funnelProblems(found.definition).map(({ path, message }) => ({
      line: found.lineOf(path),
      field: path.join('.'),
      message,
    }));
  };

  it.each([
    [`judge: opens, ${TWO}`, 'judge', 'use clicks or revenue'],
    [`judge: clicks, ${arms('key: a')}`, 'arms', 'name at least two arms'],
    [`judge: clicks, ${arms('key: a', 'key: a, subject: B')}`, 'arms.1.key', 'a second arm has the key "a"'],
    [`judge: clicks, ${arms('key: a', 'key: b')}`, 'arms.1', '"b" is the same as "a"'],
    [`judge: clicks, ${arms('key: holdout', 'key: b, subject: B')}`, 'arms.0.key', 'use another name'],
    [
      `judge: clicks, ${arms('key: a', 'key: b, offer: boat')}`,
      'arms.1.offer',
      'there is no offer "boat"; there are: kit',
    ],
    [
      `judge: clicks, ${arms('key: a', 'key: b, deadline: 1 day')}`,
      'arms.1.deadline',
      'a deadline belongs to an arm or a step with an offer',
    ],
    [
      `judge: clicks, ${arms('key: a', 'key: b, weight: 0, subject: B')}`,
      'arms.1.weight',
      'use a whole number from 1 to 1000',
    ],
    [
      `judge: clicks, ${arms('key: a', 'key: b, colour: red')}`,
      'arms.1.colour',
      '"colour" is not an option here; there are: key, weight, subject',
    ],
    [`judge: clicks, ${arms('key: a', 'key: b, at: "25:00"')}`, 'arms.1.at', 'use a time of day'],
    [`judge: clicks, cap: 10.00 EUR, ${TWO}`, 'cap', 'a cap belongs to a test that is judged by revenue'],
    [`judge: revenue, cap: 10.00 USD, ${TWO}`, 'cap', 'use the currency of the offers, EUR'],
    [`judge: revenue, cap: 0.00 EUR, ${TWO}`, 'cap', 'use an amount above zero'],
    [`judge: clicks, alpha: 0.5, ${TWO}`, 'alpha', 'use a number from 0.001 to 0.2'],
    [`judge: clicks, holdout: 80%, ${TWO}`, 'holdout', 'use a percentage from 1% to 50%'],
    [`judge: clicks, explore: 10%, ${TWO}`, 'explore', 'explore belongs to a test with optimise: thompson'],
    [`judge: clicks, optimise: magic, ${TWO}`, 'optimise', 'use thompson, or leave it out'],
    [
      `judge: clicks, horizon: 2 days, ${TWO}`,
      'horizon',
      'nobody would count: a person counts 4 days after coming to the step',
    ],
    [
      `judge: clicks, guardRails: { opens: 1% }, ${TWO}`,
      'guardRails.opens',
      'there are: unsubscribes, complaints',
    ],
  ])('%s is refused at its place', (options, field, message) => {
    expect(refused(file(`split: { ${options} }`))).toEqual([
      { line: 8, field: `sequence.steps.0.split.${field}`, message: expect.stringContaining(message) },
    ]);
  });

  it.each([
    [
      'a time with until',
      file(`until: 2027-01-01, split: { judge: clicks, ${arms('key: a', 'key: b, delay: 1 day')} }`),
      'split.arms.1.delay',
      'until says when the step runs',
    ],
    [
      'an hour outside of the window',
      file(
        `delay: 1 day, split: { judge: clicks, ${arms('key: a', 'key: b, at: "22:00"')} }`,
        'window: { days: [mon], from: "08:00", to: "10:00" }',
      ),
      'split.arms.1.at',
      '22:00 lies outside the window',
    ],
    [
      'revenue without an offer',
      file(`split: { judge: revenue, ${TWO} }`).replace(/offers:\n.*\n/, ''),
      'split.judge',
      'revenue needs an offer in the funnel',
    ],
    [
      'revenue in two currencies',
      `${file(`split: { judge: revenue, ${TWO} }`)}  - { key: us-kit, product: us-kit }\n`,
      'split.judge',
      'revenue needs offers in one currency, and here are EUR, USD',
    ],
  ])('%s is refused', (_, text, field, message) => {
    expect(refused(text)).toEqual([
      expect.objectContaining({
        field: `sequence.steps.0.${field}`,
        message: expect.stringContaining(message),
      }),
    ]);
  });
});
