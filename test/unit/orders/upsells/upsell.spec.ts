import { describe, expect, it } from 'vitest';
import { readFunnelFile } from '../../../../src/funnels/yaml/funnel-file.js';
import { lintDefinition } from '../../../../src/funnels/lint/lint.js';
import { nextOffer, type Offered } from '../../../../src/orders/upsells/upsell.js';

const offered = (slug: string, more: Partial<Offered> = {}): Offered => ({
  ...{ id: slug, slug, kind: 'upsell', downsell: null, answer: null, paid: false, ...more },
});
const taken = { answer: 'taken', paid: true } as const;

describe('what is offered after an order', () => {
  it.each<[string, Offered[], { upsell: string | null; downsell: string | null }, unknown]>([
    ['the upsell, or else its downsell', [], { upsell: 'up', downsell: 'down' }, ['up', 'down']],
    ['nothing where nothing is named', [], { upsell: null, downsell: null }, 'none'],
    ['what waits for an answer, again', [offered('up')], { upsell: 'up', downsell: 'down' }, 'open'],
    [
      'the downsell when the upsell is declined',
      [offered('up', { answer: 'declined', downsell: 'down' })],
      { upsell: 'up', downsell: 'down' },
      ['down'],
    ],
    [
      'nothing after a declined downsell',
      [
        offered('up', { answer: 'declined', downsell: 'down' }),
        offered('down', { kind: 'downsell', answer: 'declined' }),
      ],
      { upsell: 'up', downsell: 'down' },
      'none',
    ],
    [
      'the downsell when the upsell came to be owned before an answer',
      [offered('up', { answer: 'withdrawn', downsell: 'down' })],
      { upsell: 'up', downsell: 'down' },
      ['down'],
    ],
    ['the upsell of the upsell', [offered('up', taken)], { upsell: 'more', downsell: null }, ['more']],
    [
      'nothing while a payment is open',
      [offered('up', { answer: 'taken' })],
      { upsell: 'more', downsell: null },
      'none',
    ],
    ['nothing twice', [offered('up', taken)], { upsell: 'up', downsell: null }, 'none'],
  ])('is %s', (_, before, ways, expected) => {
    const next = nextOffer(before, ways);
    expect(next.kind === 'new' ? next.candidates.map(({ slug }) => slug) : next.kind).toEqual(expected);
  });

  const findings = (offers: string): string[] => {
    const read = readFunnelFile(`funnel: course
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: course, headline: Get it, consent: Send it to me }
sequence: { steps: [{ key: hello, email: emails/welcome }] }
products:
  - { key: kit, name: Kit, price: 49.00 EUR, licence: true }
  - { key: list, name: List, price: 9.00 EUR, licence: true }
  - { key: plan, name: Plan, price: 19.00 EUR, licence: true }
offers:
${offers.trim().replaceAll(/^/gm, '  ')}
`);
    if (!read.ok) return read.problems.map(({ line, field, rule }) => `${line ?? ''} ${rule} ${field}`);
    return lintDefinition(read.definition, { now: new Date('2026-06-01T09:00:00Z'), others: [] }).map(
      ({ rule, path }) => `${read.lineOf(path) ?? ''} ${rule} ${path.join('.')}`,
    );
  };

  it.each([
    [
      `- { key: kit, product: kit, upsell: list, downsell: plan }
- { key: list, product: list, upsell: plan }
- { key: plan, product: plan }`,
      [],
    ],
    [
      `- { key: kit, product: kit, upsell: gone }
- { key: list, product: list, downsell: plan }
- { key: plan, product: plan }`,
      ['11 unknown-offer offers.0.upsell', '12 unknown-offer offers.1.downsell'],
    ],
    [
      `- { key: kit, product: kit, upsell: list, downsell: plan }
- { key: list, product: list, upsell: plan }
- { key: plan, product: plan, upsell: kit }`,
      [
        '11 upsell-loop offers.0.upsell',
        '11 upsell-loop offers.0.downsell',
        '12 upsell-loop offers.1.upsell',
        '13 upsell-loop offers.2.upsell',
      ],
    ],
    [
      `- { key: kit, product: kit, upsell: kit }
- { key: list, product: list, bump: plan }`,
      ['11 upsell-loop offers.0.upsell', '11 upsell-never-shown offers.0.upsell'],
    ],
    [
      `- { key: kit, product: kit, upsell: cheap }
- { key: cheap, product: kit, discount: 50% }
- { key: list, product: list, bump: plan }`,
      ['11 upsell-never-shown offers.0.upsell'],
    ],
  ])('is checked when a funnel is saved: %s', (offers, expected) => {
    expect(findings(offers)).toEqual(expected);
  });
});
