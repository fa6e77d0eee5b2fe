import { describe, expect, it } from 'vitest';
import { readFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { lintDefinition } from '../../../src/funnels/lint/lint.js';
import { findingOf } from '../../../src/funnels/lint/rules.js';

const funnel = (affiliates: string, offers = '[{ key: kit, product: kit }]'): string => `funnel: course
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: course, headline: Get it, consent: Send it to me }
sequence: { steps: [{ key: hello, email: emails/welcome }] }
products: [{ key: kit, name: Kit, price: 49.00 EUR, licence: true }]
offers: ${offers}
affiliates: ${affiliates}
`;

describe('affiliates in a funnel file', () => {
  it('have terms with usual values for what is left out', () => {
    const file = readFunnelFile(funnel('{ commission: 30% }'));
    expect(file.ok && file.definition.affiliates).toEqual({
      ...{ commission: '30%', secondTier: '0%', hold: '30 days', cookie: '60 days' },
    });
  });

  it.each([
    ['{ commission: 0% }', 'commission-for-nothing', 'earn 0%'],
    ['{ commission: 60%, secondTier: 40.01% }', 'wrong-value', '100% together'],
    ['{ commission: 101% }', 'wrong-value', 'not a percentage'],
    ['{ commission: 30%, hold: a while }', 'wrong-value', 'not a duration'],
    ['{ commission: 30%, cookie: 999 months }', 'wrong-value', 'at most'],
    ['{ commission: 30%, cookie: 0 days }', 'wrong-value', 'above zero'],
    ['{ secondTier: 10% }', 'missing-value', 'is missing'],
    ['{ commission: 1%, rate: 1 }', 'unknown-option', 'there are: commission, secondTier, hold, cookie'],
    ['{ commission: 1%, attribution: best }', 'wrong-value', 'use last or first'],
  ])('%s: %s', (affiliates, rule, message) => {
    const file = readFunnelFile(funnel(affiliates));
    const found = file.ok
      ? lintDefinition(file.definition, { now: new Date('2026-01-05'), others: [] }).map((problem) =>
          findingOf(problem, file.lineOf(problem.path)),
        )
      : file.problems;
    expect(found).toEqual([expect.objectContaining({ rule, line: 8 })]);
    expect(found[0]?.message).toContain(message);
  });

  it.each([
    ['{ all: [{ affiliate: ada }, { affiliate: none }] }', 'by a link and by none'],
    ['{ all: [{ not: { affiliate: any } }, { affiliate: ada }] }', 'by a link and by none'],
    ['{ all: [{ affiliate: ada }, { affiliate: bo }] }', 'the links of ada and bo'],
    ['{ all: [{ affiliate: self }, { affiliate: any }, { not: { affiliate: ada } }] }', null],
    ['{ any: [{ affiliate: any }, { affiliate: none }] }', 'nobody takes else'],
  ])('are asked about by %s: %s', (condition, reason) => {
    const step = `{ key: ask, if: ${condition}, then: [{ key: more, tag: b }] }`;
    const text = funnel('{ commission: 30% }').replace('steps: [', `steps: [${step}, `);
    const file = readFunnelFile(text);
    const found = file.ok
      ? lintDefinition(file.definition, { now: new Date('2026-01-05'), others: [] })
      : null;
    expect(found?.map(({ message }) => message)).toEqual(
      reason === null ? [] : [expect.stringContaining(reason)],
    );
  });

  it('earn nothing where nothing is sold', () => {
    const file = readFunnelFile(funnel('{ commission: 30% }', '[]'));
    const found = file.ok ? lintDefinition(file.definition, { now: new Date('2026-01-05'), others: [] }) : [];
    expect(found.map(({ rule }) => rule)).toContain('commission-for-nothing');
  });
});
