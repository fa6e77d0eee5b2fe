import { expect, it } from 'vitest';
import { simulate } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import { simulationText } from '../../../src/funnels/simulation/timeline-text.js';

/** What one person lives through from Monday 2 March 2026, 09:00 UTC on: they buy by the offer an hour after the sign-up. */
function told(change: [from: string, to: string]): string {
  const text = `funnel: main
title: A funnel
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: main, headline: Get it, consent: Send it to me, optIn: single }
sequence:
  window: { days: [mon, tue, wed, thu, fri, sat, sun], from: "08:00", to: "19:00" }
  steps: [{ key: late, email: emails/story, delay: 4 hours }]
products: [{ key: kit, name: Kit, price: 49.00 EUR }, { key: list, name: List, price: 9.00 EUR }]
offers: [{ key: deal, product: kit }]
affiliates: { commission: 30%, hold: 30 days, cookie: 60 days }
`;
  const people = 'personas: [{ name: one, affiliate: ada, does: [{ buys: deal, after: 5 days }] }]';
  const now = new Date('2026-03-02T09:00:00Z');
  expect(text).toContain(change[0]);
  const files: [{ name: string; text: string }] = [{ name: 'f', text: text.replace(...change) }];
  return simulationText(
    simulate(simulationFromFiles(files, { name: 'p', text: people }, { start: null, days: 30, now })),
  );
}

it.each<[string, from: string, to: string, usual: RegExp, other: RegExp]>([
  ['the end of a window', 'to: "19:00"', 'to: "12:00"', /03-02 13:00 +mail late/, /03-03 08:00 +mail late/],
  ['the product of an offer', 'product: kit', 'product: list', /for 49\.00 EUR/, /for 9\.00 EUR/],
  ['the hold of a commission', 'hold: 30 days', 'hold: 45 days', /due Mon 2026-04-06/, /due Tue 2026-04-21/],
  ['the window of a click', 'cookie: 60 days', 'cookie: 3 days', /earns ada/, /^(?![^]*earns ada)/],
])('what a funnel says otherwise than usual is kept to: %s', (_, from, to, usual, other) => {
  expect(told([from, from])).toMatch(usual);
  expect(told([from, from])).not.toMatch(other);
  expect(told([from, to])).toMatch(other);
});
