import { expect, it } from 'vitest';
import { simulate } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import type { Simulation, TimelineEntry } from '../../../src/funnels/simulation/timeline.js';
import { simulationText } from '../../../src/funnels/simulation/timeline-text.js';

const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;

function run(steps: string, personas: string): Simulation {
  const text = `funnel: main
title: A funnel
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: main, headline: Get it, consent: Send it to me, optIn: single }
sequence:
  steps:
${steps.replaceAll(/^/gm, '    ')}
`;
  const now = new Date('2026-03-02T09:00:00Z');
  const files: [{ name: string; text: string }] = [{ name: 'f', text }];
  return simulate(
    simulationFromFiles(files, { name: 'p', text: personas }, { start: null, days: null, now }),
  );
}

const mails = (entries: readonly TimelineEntry[]): string[] =>
  entries.flatMap((entry) =>
    entry.what === 'mail' ? [`${entry.step ?? entry.kind} ${entry.at.slice(0, 16)}`] : [],
  );

it('simulated people get broadcasts by their tags, which count for the cap as other mails do', () => {
  const broadcasts = `broadcasts:
- { key: early, email: emails/news, at: 2026-03-01 }
- { key: all, email: emails/news, at: 2026-03-02T21:00:00Z }
- { key: some, email: emails/news, at: 2026-03-06, tags: { any: [vip, hot], none: [cold] } }
- { key: both, email: emails/news, at: 2026-03-07, tags: { all: [hot, cold] } }`;
  const told = (more: string, cap = '', does = ''): string[] =>
    mails(
      run(
        `${mail('a')}\n${mail('b', ', delay: 1 day')}`,
        `${cap}${broadcasts}\npersonas: [{ name: one${more}, does: [${does}] }]`,
      ).people[0]?.timeline ?? [],
    );
  const always = ['a 2026-03-02T09:00', 'all 2026-03-02T21:00', 'b 2026-03-03T09:00'];
  expect(told('')).toEqual(always);
  expect(told(', tags: [hot]')).toEqual([...always, 'some 2026-03-06T00:00']);
  expect(told(', tags: [hot, cold]')).toEqual([...always, 'both 2026-03-07T00:00']);
  expect(told('', '', '{ tag: vip, after: 3 days }')).toEqual([...always, 'some 2026-03-06T00:00']);
  expect(told('', '', '{ unsubscribes: true, after: 3 hours }')).toEqual(['a 2026-03-02T09:00']);
  expect(told(', joins: 1 day')).toEqual(['a 2026-03-03T09:00', 'b 2026-03-04T09:00']);
  // 24 hours after the first mail the broadcast goes, and it has the sequence's second mail wait a day more.
  expect(told('', 'frequencyCap: { perDay: 1 }\n')).toEqual([
    'a 2026-03-02T09:00',
    'all 2026-03-03T09:00',
    'b 2026-03-04T09:00',
  ]);
  const text = simulationText(
    run(mail('a'), `frequencyCap: { perDay: 1 }\n${broadcasts}\npersonas: [{ name: one }]`),
  );
  expect(text).toMatch(
    /mail of broadcast all waits until Tue 2026-03-03 09:00: frequency cap: 1 a day[\s\S]*mail of broadcast all \(emails\/news\)[\s\S]*1 all/,
  );
});

it.each([
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-01 }, { key: a, email: emails/news, at: 2026-03-01 }]\npersonas: [{ name: one }]',
    'p:1: broadcasts.1.key: a second broadcast is called "a"',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, at: "2026-03-01 09:00" }]\npersonas: [{ name: one }]',
    'broadcasts.0.at: use a date such as',
  ],
])('%s', (personas, message) => {
  expect(() => run(mail('a'), personas)).toThrow(message);
});
