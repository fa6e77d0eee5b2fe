import { expect, it } from 'vitest';
import type { Simulation } from '../../../src/funnels/simulation/timeline.js';
import { simulationText } from '../../../src/funnels/simulation/timeline-text.js';
import { mail, run, sentOf } from './simulated.js';

it('a broadcast’s test has its hours, holds people out and stops an arm that does harm, and tells so', () => {
  const told = run(
    mail('a'),
    `broadcasts:
- { key: hours, email: emails/news, atLocal: "2026-03-03T09:00", timezone: Europe/Vienna, split: { arms: [{}, { at: "20:00" }],
    testPercent: 60, holdout: 30%, waitMinutes: 120, judge: clicks } }
- { key: rails, email: emails/news, at: 2026-03-06, spreadMinutes: 100, split: { arms: [{}, { subject: Worse }],
    testPercent: 90, waitMinutes: 60, judge: clicks, guardRails: { unsubscribes: 5% } } }
- { key: out, email: emails/news, at: 2026-03-10, segments: { any: [held] } }
segments: { held: { split: { broadcast: hours, arm: holdout } } }
personas: [{ name: one, count: 100, does: [{ unsubscribes: true, afterMail: broadcast rails, arm: b, after: 1 minute }] }]`,
  );
  const times = sentOf(told, 'hours');
  expect(new Set(times)).toEqual(new Set(['', '2026-03-03T08:00', '2026-03-03T19:00', '2026-03-04T08:00']));
  const held = times.flatMap((at, place) => (at === '' ? [place] : []));
  expect(held.length).toBeGreaterThan(15);
  expect(sentOf(told, 'out').flatMap((at, place) => (at === '' ? [] : [place]))).toEqual(
    held.filter((place) => !told.people[place]?.timeline.some(({ what }) => what === 'unsubscribed')),
  );
  expect(told.broadcasts[1]).toMatchObject({
    ...{ stoppedArms: ['b'], decision: { arm: 'a', verdict: 'no_winner' } },
  });
  // Most of those who were drawn for it are spared.
  const worse = sentOf(told, 'rails').filter((at) => at.includes('Worse')).length;
  expect([worse > 2, worse < 25]).toEqual([true, true]);
  const text = simulationText(told);
  expect(text).toMatch(/mail of broadcast hours is not sent: held out of the split test/);
  expect(text).toMatch(/rails: begins .*Arm B is stopped by a guard rail\. .*No winner: fewer than two arms/);
});

it('no mail that was put off goes with the words of an arm that the judgement has stopped', () => {
  const told = run(
    mail('a'),
    `frequencyCap: { perDay: 1 }
broadcasts:
- { key: rails, email: emails/news, at: 2026-03-06T09:00:00Z, split: { arms: [{}, { subject: Worse }],
    testPercent: 90, waitMinutes: 60, judge: clicks, guardRails: { unsubscribes: 5% } } }
personas:
- { name: one, count: 60, does: [{ unsubscribes: true, afterMail: broadcast rails, arm: b, after: 1 minute }] }
- { name: late, count: 30, joins: 95 hours }`,
  );
  expect(told.broadcasts[0]).toMatchObject({ stoppedArms: ['b'], recipients: 90 });
  const late = sentOf(told, 'rails').filter((at) => at.startsWith('2026-03-07T08:00'));
  expect([late.length, late.some((at) => at.includes('Worse'))]).toEqual([30, false]);
});

it('a test whose arms were all stopped goes on with the first, and is judged when the last mail of it has gone', () => {
  const told = run(
    mail('a'),
    `broadcasts:
- { key: rails, email: emails/news, at: 2026-03-06, spreadMinutes: 100, split: { arms: [{}, { subject: Worse }],
    testPercent: 90, waitMinutes: 60, judge: clicks, guardRails: { unsubscribes: 5% } } }
owner: [{ resumes: rails, at: 2026-03-07 }]
personas: [{ name: one, count: 100, does: [{ unsubscribes: true, afterMail: broadcast rails, after: 1 minute }] }]`,
  );
  const [{ stoppedArms, decision }] = told.broadcasts as [Simulation['broadcasts'][number]];
  expect(stoppedArms.toSorted()).toEqual(['a', 'b']);
  expect(decision).toMatchObject({ arm: 'a', verdict: 'no_winner' });
  const after = sentOf(told, 'rails').filter((at) => at >= '2026-03-07');
  expect([after.length > 30, after.some((at) => at.includes('Worse'))]).toEqual([true, false]);
  const tried = after.map((at) => at.slice(0, 16)).filter((at) => at < (decision?.at ?? ''));
  expect(tried.length).toBeGreaterThan(30);
  const waited = Date.parse(decision?.at ?? '') - Date.parse(`${tried.toSorted().at(-1) ?? ''}Z`);
  expect(Math.floor(waited / 60_000 / 10)).toBe(6);
});

it('arms that are one mail at the hour of the start are refused, as the start refuses them', () => {
  const news = `broadcasts:
- { key: hours, email: emails/news, atLocal: "2026-03-05T20:00", split: { arms: [{}, { at: "20:00" }],
    testPercent: 60, waitMinutes: 120, judge: clicks } }
personas: [{ name: one }]`;
  expect(() => run(mail('a'), news)).toThrow(
    'broadcasts: "hours": split.arms: arms 1 and 2 are the same mail at the same hour, 20:00',
  );
});
