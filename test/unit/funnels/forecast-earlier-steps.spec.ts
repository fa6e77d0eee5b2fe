import { expect, it } from 'vitest';
import { LEAVES, STAYS, stepsAsked, withoutQuestions } from '../../../src/funnels/forecast/choices.js';
import { mergedStands, type Stand } from '../../../src/funnels/forecast/groups.js';
import { outlook } from '../../../src/funnels/forecast/outlook.js';
import { pathsFrom } from '../../../src/funnels/forecast/paths.js';
import { simulate } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import { virtualFunnels } from '../../../src/funnels/simulation/virtual-sequences.js';
import { prepareSequence } from '../../../src/sequences/steps/prepared.js';
import { arm, file, mail, read, split } from './path-files.js';

const NOW = new Date('2026-03-02T09:00:00Z');
const DAY_MS = 86_400_000;
const dayOf = (at: Date): number => Math.floor(at.getTime() / DAY_MS) - Math.floor(NOW.getTime() / DAY_MS);
const DAYS = 12;

/** What is asked for first is asked for again behind a mail, and behind that what was then done about it. */
const STEPS = `- ${mail('a')}
- { key: pick, if: { clicked: a, within: 1 day }, then: [${mail('yes')}], else: [] }
${split([arm('one', mail('o1')), arm('two', `{ key: two-tag, tag: two }`)])}
- ${mail('b', ', delay: 2 days')}
- { key: again, if: { step: pick, was: then }, then: [${mail('c', ', delay: 1 day')}], else: [] }
- { key: third, if: { all: [{ step: pick, was: then }, { split: fork, arm: one }] }, then: [${mail('d', ', delay: 1 day')}], else: [{ key: bye, end: true }] }
- ${mail('e', ', delay: 1 day')}`;
const definition = read(file(STEPS)).definition;

function forecast(stands: readonly Partial<Stand>[]): { mails: number[]; choices: string[] } {
  const funnels = virtualFunnels([definition]);
  const versions = new Map(
    [...funnels.versions].map(([key, version]) => [
      key,
      { ...version, sequence: prepareSequence(withoutQuestions(version.sequence.definition)) },
    ]),
  );
  const stay = new Map([
    [STAYS, 1e9],
    [LEAVES, 0],
  ]);
  const measured = new Map([
    ...['a', 'yes', 'o1', 'b', 'c', 'd', 'e'].map((step) => [`mail course ${step}`, stay] as const),
    // Nobody measures what the way decides: this is of another time, when other people came by.
    ...[
      ['pick', { then: 3e8, else: 7e8 }] as const,
      ['fork', { 'arm one': 5e8, 'arm two': 5e8 }] as const,
      ['again', { 'case 1': 9e8, else: 1e8 }] as const,
    ].map(([step, ways]) => [`way course ${step}`, new Map(Object.entries(ways))] as const),
  ]);
  const question = {
    ...{ funnels: { ...funnels, versions }, sequences: new Map([['course', 'course']]), measured, from: NOW },
    until: new Date(Date.parse('2026-03-02') + DAYS * DAY_MS),
  };
  const all = stands.map((one): Stand => ({
    ...{ version: 'course', sequence: 'course', stepKey: 'a', nextAt: NOW, waitUntil: null },
    ...{ timeZone: null, had: null, done: null, owns: null, count: 1000, ...one },
  }));
  const groups = mergedStands(all, 150).map((one) => ({ count: one.count, paths: pathsFrom(question, one) }));
  const { mails } = outlook(groups, { measured, days: DAYS, dayOf, level: 0.8, seed: 1 });
  return {
    mails: mails.map(({ expected }) => Math.round(expected / 10)),
    choices: [
      ...new Set(
        groups.flatMap(({ paths }) =>
          paths.flatMap((path) => path.choices.map(({ parting }) => parting.name)),
        ),
      ),
    ],
  };
}

it('a forecast asks the way that led to a step for what was done on it, as the run does', () => {
  const { mails, choices } = forecast([{}]);
  expect(choices.filter((name) => name.startsWith('way'))).toEqual(['way course pick', 'way course fork']);
  // The same people one by one: 30 of 100 click twelve hours later, and half of all take the first path.
  const personas = `personas:
- { name: clicks, count: 60, timeZone: UTC, does: [{ clicks: a, after: 12 hours }] }
- { name: silent, count: 140, timeZone: UTC }`;
  const start = { start: NOW, days: DAYS, now: NOW };
  const text = file(STEPS).replace('consent: Send it to me', 'consent: Send it to me, optIn: single');
  const { people } = simulate(
    simulationFromFiles([{ name: 'f', text }], { name: 'p', text: personas }, start),
  );
  const sent = Array.from({ length: DAYS }, () => 0);
  for (const entry of people.flatMap(({ timeline }) => timeline))
    if (entry.what === 'mail') sent[dayOf(new Date(entry.at))] = (sent[dayOf(new Date(entry.at))] ?? 0) + 1;
  // By another guess at "again" and "third", hundreds of a thousand would differ; arms are drawn by lot.
  for (const [day, count] of sent.entries())
    expect(Math.abs((mails[day] ?? 0) * 10 - count * 5)).toBeLessThan(80);
  expect(sent.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(500);
});

it('a forecast knows of those who stand behind it what they did on the way, and what does not come again', () => {
  const nextAt = new Date('2026-03-03T09:00:00Z');
  const at = (stepKey: string, done: object | null, had: object | null = null): number[] =>
    forecast([
      { stepKey, nextAt, done: done && JSON.stringify(done), had: had && JSON.stringify(had) },
    ]).mails.slice(0, 6);
  const went = { pick: 'then', fork: 'arm one' };
  expect(at('b', went)).toEqual([0, 100, 100, 100, 100, 0]);
  expect(at('b', { pick: 'then', fork: 'arm two' })).toEqual([0, 100, 100, 0, 0, 0]);
  expect(at('b', { pick: 'else', fork: 'arm one' })).toEqual([0, 100, 0, 0, 0, 0]);
  expect(at('b', null)).toEqual([0, 100, 0, 0, 0, 0]);
  // Moved from another version, in which they have had the third and the fourth.
  expect(at('b', went, { b: 'ran', c: 'ran' })).toEqual([0, 0, 100, 100, 0, 0]);
  expect(stepsAsked(compiledDefinition())).toEqual(['pick', 'fork']);
});

it('people who did other things on their way are no group of one kind, however many there are', () => {
  const stand = (done: string | null, count: number): Stand => ({
    ...{ version: 'v', sequence: 's', stepKey: 'b', nextAt: NOW, waitUntil: null, timeZone: null, had: null },
    ...{ done, owns: null, count },
  });
  const merged = mergedStands([stand('x', 5), stand('x', 3), stand('y', 1), stand(null, 1)], 1);
  // Once there are twice as many groups as may be, the rest joins any of its step.
  expect(merged.map(({ done, count }) => [done, count])).toEqual([
    ['x', 9],
    ['y', 1],
  ]);
  expect(merged.reduce((sum, { count }) => sum + count, 0)).toBe(10);
});

function compiledDefinition() {
  const version = virtualFunnels([definition]).versions.get('course');
  if (version === undefined) throw new Error('nothing was compiled');
  return version.sequence.definition;
}
