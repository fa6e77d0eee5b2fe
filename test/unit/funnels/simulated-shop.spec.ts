import { expect, it } from 'vitest';
import { simulate } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import type { Simulation } from '../../../src/funnels/simulation/timeline.js';
import { simulationText } from '../../../src/funnels/simulation/timeline-text.js';

const FUNNEL = `funnel: main
title: A funnel
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: main, headline: Get it, consent: Send it to me, optIn: single }
sequence:
  steps:
    - { key: week, wait: 7 days }
    - key: owns
      if: { all: [{ purchased: kit }, { member: kit }] }
      then: [{ key: yes, email: emails/story }]
      else: [{ key: no, email: emails/story }]
products: [{ key: kit, name: Kit, price: 49.00 EUR, membership: { lasts: 1 month } }]
offers: [{ key: kit, product: kit }]
`;

function run(more: string): Simulation {
  const text = `personas: [{ name: one, does: [{ buys: kit, after: 1 day${more} }] }]`;
  const now = new Date('2026-03-02T09:00:00Z');
  const order = simulationFromFiles(
    [{ name: 'f', text: FUNNEL }],
    { name: 'p', text },
    { start: null, days: 30, now },
  );
  return simulate(order);
}

it.each([
  ['', ['receipt', 'yes'], 4900],
  [', refundsAfter: 5 days', ['receipt', 'receipt', 'no'], 0],
  [', refundsAfter: 7 days', ['receipt', 'yes', 'receipt'], 0],
  // Money alone leaves them what they bought, were it all they have paid.
  [', refundsAfter: 5 days, refunds: 10.00 EUR', ['receipt', 'receipt', 'yes'], 3900],
  [', refundsAfter: 5 days, refunds: 49.00 EUR', ['receipt', 'receipt', 'yes'], 0],
  [', refundsAfter: 5 days, refunds: [kit]', ['receipt', 'receipt', 'no'], 0],
])('a simulated buyer who asks for their money back owns nothing from then on: %s', (more, mails, earned) => {
  const { people, summary } = run(more);
  const sent = (people[0]?.timeline ?? []).flatMap((entry) =>
    entry.what === 'mail' ? [entry.step ?? entry.kind] : [],
  );
  expect(sent).toEqual(mails);
  expect(summary).toMatchObject({
    ...{ purchases: 1, refunds: more === '' ? 0 : 1 },
    income: [{ amountMinor: earned, currency: 'EUR' }],
  });
});

it('a simulated refund is told with what it takes along', () => {
  expect(simulationText(run(', refundsAfter: 5 days'))).toMatch(
    /is a member by kit until Fri 2026-04-03 09:00[\s\S]*gets 49\.00 EUR back for kit[\s\S]*no member by kit any more: refunded[\s\S]*mail with the credit note[\s\S]*1 purchase, 1 refund, 0\.00 EUR/,
  );
});

it('a simulated part of an order goes back with its share of the commission, line by line', () => {
  const FUNNEL_WITH_BUMP = `${FUNNEL.replace('[{ key: kit, product: kit }]', '[{ key: kit, product: kit, bump: list }]').replace('products: [', 'products: [{ key: list, name: List, price: 10.00 EUR }, ')}affiliates: { commission: 33%, hold: 30 days, cookie: 9 days }
`;
  const told = (refunds: string): string[] => {
    const now = new Date('2026-03-02T09:00:00Z');
    const does = `{ buys: kit, after: 1 day, withBump: true, refundsAfter: 2 days${refunds} }`;
    const order = simulationFromFiles(
      [{ name: 'f', text: FUNNEL_WITH_BUMP }],
      { name: 'p', text: `personas: [{ name: one, affiliate: ada, does: [${does}] }]` },
      { start: null, days: 30, now },
    );
    const text = simulationText(simulate(order));
    return text
      .split('\n')
      .flatMap((line) => /(?:gets|loses) \d.*|(?<=In all:.*refund, ).*/.exec(line) ?? []);
  };
  // 33 % of 49.00 and of 10.00, less what goes back of each line, rounded up.
  expect(told(', refunds: [list]')).toEqual([
    'gets 10.00 EUR back for list',
    'loses 3.30 EUR again',
    '49.00 EUR, 16.17 EUR of it for affiliates',
  ]);
  expect(told(', refunds: 10.00 EUR')[0]).toBe('gets 10.00 EUR back for a part of kit, and keeps it');
  expect(told('')[1]).toBe('loses 19.47 EUR again');
  expect(() => told(', refunds: 59.01 EUR')).toThrow(
    'refunds: of the order of kit at 2026-03-03T09:00:00.000Z, at most 59.00 EUR can go back',
  );
  expect(() => told(', refunds: 1.00 USD')).toThrow('at most 59.00 EUR can go back');
  expect(() => told(', refunds: [mini]')).toThrow(
    'p:1: personas.0.does.0.refunds: "mini" is not sold by kit; there are: kit, list',
  );
  expect(() => run(', refunds: [kit]')).toThrow('refunds: it belongs to refundsAfter');
});

const SHOP = `${FUNNEL.replace('offers: [{ key: kit, product: kit }]\n', '').replace('products: [', 'products: [{ key: coaching, name: Coaching, price: 99.00 EUR }, { key: mini, name: Mini, price: 9.99 EUR }, ')}offers:
  - { key: kit, product: kit, upsell: coaching, downsell: mini }
  - { key: coaching, product: coaching, discount: 50%, upsell: mini }
  - { key: mini, product: mini }
affiliates: { commission: 33%, hold: 30 days, cookie: 3 days }
`;

function shop(buys: string, more = ''): Simulation {
  const text = `personas: [{ name: one${more}, does: [{ buys: kit, ${buys} }] }]`;
  const now = new Date('2026-03-02T09:00:00Z');
  const files: [{ name: string; text: string }] = [{ name: 'f', text: SHOP }];
  return simulate(simulationFromFiles(files, { name: 'p', text }, { start: null, days: 30, now }));
}
const told = (simulation: Simulation): string[] =>
  simulationText(simulation)
    .split('\n')
    .filter((line) => /buys|upsell|downsell|declines|offer any|back|earns|loses/.test(line))
    .map((line) => line.trim());

it.each<[string, string[]]>([
  ['after: 1 day', ['buys kit', 'upsell coaching for 49.50 EUR']],
  [
    'after: 1 day, answers: [{ takes: coaching, after: 59 minutes }, { takes: mini, after: 1 minute }]',
    // The hour counts from the first order.
    [
      'buys kit',
      'upsell coaching',
      '10:59?buys coaching for 49.50 EUR (upsell)',
      'upsell mini',
      'mini is not on offer any more: expired',
    ],
  ],
  [
    'after: 1 day, answers: [{ declines: coaching }, { takes: mini, refundsAfter: 2 days }]',
    [
      'buys kit',
      'upsell coaching',
      'declines coaching',
      'downsell mini for 9.99',
      'buys mini for 9.99 EUR (downsell)',
      'gets 9.99 EUR back for mini',
    ],
  ],
  [
    'after: 1 day, refundsAfter: 10 minutes, answers: [{ takes: coaching, after: 20 minutes }]',
    [
      'buys kit',
      'upsell coaching',
      'gets 49.00 EUR back for kit',
      'coaching is not on offer any more: refunded',
    ],
  ],
  [
    'after: 1 day, answers: [{ takes: coaching, chance: 0% }, { declines: coaching }]',
    ['buys kit', 'upsell coaching', 'declines coaching', 'downsell mini'],
  ],
])('are shown what follows an order, and answer it or not: %s', (buys, lines) => {
  const found = told(shop(buys)).filter((line) => !line.startsWith('upsells:'));
  expect(found).toHaveLength(lines.length);
  for (const [place, line] of lines.entries()) expect(found[place]).toContain(line.replace(/^.*\?/, ''));
});

it('count what upsells bring, and what affiliates get of it while their click counts', () => {
  const all = 'answers: [{ takes: coaching, refundsAfter: 5 days }, { takes: mini }]';
  const { summary } = shop(`after: 1 day, ${all}`, ', affiliate: ada');
  const eur = (amountMinor: number): object[] => [{ amountMinor, currency: 'EUR' }];
  expect(summary).toMatchObject({
    ...{ purchases: 3, refunds: 1, income: eur(4900 + 999), commissions: eur(1617 + 329) },
    upsells: { shown: 2, taken: 2, declined: 0, income: eur(4950 + 999) },
  });
  expect(told(shop('after: 1 day', ', affiliate: ada'))).toEqual([
    expect.stringContaining('buys kit for 49.00 EUR'),
    expect.stringContaining('earns ada 16.17 EUR, due Thu 2026-04-02 09:00'),
    expect.stringContaining('upsell coaching for 49.50 EUR'),
    'upsells: 1 shown, 0 taken, 0 declined, no income',
  ]);
  expect(shop('after: 4 days', ', affiliate: ada').summary.commissions).toEqual([]);
  expect(shop('after: 1 day').summary.commissions).toEqual([]);
});

it.each([
  ['answers: [{ takes: kit }]', '"kit" is never shown after an order of "kit"; there are: coaching, mini'],
  ['answers: [{ takes: mini, withBump: true }]', '"withBump" is not an option here'],
  ['answers: [{ after: 1 day }]', 'name one of takes, declines'],
  ['answers: []', 'name at least one answer'],
])('an answer that cannot be given is refused: %s', (buys, message) => {
  expect(() => shop(buys)).toThrow(message);
});

const PITCHED = `${SHOP.replace(/  steps:[^]*products:/, 'STEPS\nproducts:').replace('membership: { lasts: 1 month }', 'membership: { lasts: 1 day }')}
`;
it.each<[who: string, buys: string, offer: string, isPitched: boolean]>([
  ['who has bought it', 'buys: coaching', 'coaching', false],
  ['who has bought something else', 'buys: mini', 'coaching', true],
  ['who has got the money back', 'buys: coaching, refundsAfter: 2 hours', 'coaching', true],
  ['who was a member by it, and is no more', 'buys: kit', 'kit', true],
  ['who buys once its time is near', 'buys: coaching, after: 47 hours', 'coaching', false],
  ['who is a member by it since an hour', 'buys: kit, after: 71 hours', 'kit', false],
  ['who buys while its mail waits for the cap', 'buys: coaching, after: 73 hours', 'coaching', false],
])('no sequence that is joined later offers people what they own: %s', (_, buys, offer, isPitched) => {
  const timeline = (more: string) => {
    const steps = `  enterOn: [{ tag: hot }]
  steps: [{ key: a, email: emails/story, delay: 2 days }, { key: pitch, email: emails/offer, offer: ${offer}${more} }]`;
    const text = `frequencyCap: { perDay: 1 }
personas: [{ name: one, signsUp: false, does: [{ ${buys} }, { tag: hot, after: 1 day }] }]`;
    const order = simulationFromFiles(
      [{ name: 'f', text: PITCHED.replace('STEPS', steps) }],
      { name: 'p', text },
      { start: null, days: 30, now: new Date('2026-03-02T09:00:00Z') },
    );
    return simulate(order).people[0]?.timeline ?? [];
  };
  const day = (entries: ReturnType<typeof timeline>): string | null =>
    entries.find((one) => one.what === 'mail' && one.step === 'pitch')?.at.slice(5, 10) ?? null;
  const usual = timeline('');
  expect(day(usual)).toBe(isPitched ? '03-06' : null);
  const why = usual.flatMap((one) =>
    one.what === 'step' ? [one.outcome] : one.what === 'cancelled' ? [one.reason] : [],
  );
  expect(why).toEqual(isPitched ? [] : [`already owns ${offer}`]);
  expect(day(timeline(', toOwners: send'))).toBe('03-06');
});
