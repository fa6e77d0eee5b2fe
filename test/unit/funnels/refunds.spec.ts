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
  [', refundsAfter: 5 days', ['receipt', 'no'], 0],
  [', refundsAfter: 7 days', ['receipt', 'yes'], 0],
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
    /is a member by kit until Fri 2026-04-03 09:00[\s\S]*gets 49\.00 EUR back for kit[\s\S]*no member by kit any more: refunded[\s\S]*1 purchase, 1 refund, 0\.00 EUR/,
  );
});
