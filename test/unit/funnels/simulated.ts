import { simulate } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import type { Simulation } from '../../../src/funnels/simulation/timeline.js';

/** A step, as YAML. */
export const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;

/** Simulates a funnel of these steps with these people, from the same day on. */
export function run(steps: string, personas: string): Simulation {
  const text = `funnel: main
title: A funnel
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: main, headline: Get it, consent: Send it to me, optIn: single }
sequence:
  steps:
${steps.replaceAll(/^/gm, '    ')}
products: [{ key: kit, name: Kit, price: 49.00 EUR }]
offers: [{ key: kit, product: kit }]
`;
  const now = new Date('2026-03-02T09:00:00Z');
  const files: [{ name: string; text: string }] = [{ name: 'f', text }];
  return simulate(
    simulationFromFiles(files, { name: 'p', text: personas }, { start: null, days: null, now }),
  );
}

/** When each person has the mail of a broadcast, by their number among all. */
export const sentOf = ({ people }: Simulation, key: string): string[] =>
  people.map(({ timeline }) =>
    timeline
      .flatMap((entry) =>
        entry.what === 'mail' && entry.kind === 'broadcast' && entry.step === key
          ? [`${entry.at.slice(0, 16)}${entry.template === 'emails/news' ? '' : ` ${entry.template}`}`]
          : [],
      )
      .join(', '),
  );
