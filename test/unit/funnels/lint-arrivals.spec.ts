import { expect, it } from 'vitest';
import { file, mail, wrong } from './path-files.js';

/** The linter looks on the first of January 2026, at midnight in UTC. */
const LATE = 'who joins from now on comes to the step when it has expired';
const lates = (...steps: string[]): string[] =>
  wrong(file(steps.map((step) => `- ${step}`).join('\n')))
    .filter((line) => line.includes(LATE))
    .map((line) => line.split(':')[0] ?? '');

it('many branches in a row are looked through at once: each more took the linter twice as long', () => {
  const forks = Array.from(
    { length: 19 },
    (_, nth) =>
      `{ key: f${nth}, if: { tag: t${nth} }, then: [{ key: t${nth}, tag: x }], else: [${mail(`m${nth}`, `, delay: ${2 ** (19 - nth)} minutes`)}] }`,
  );
  const from = process.cpuUsage();
  expect(lates(...forks, mail('end', ', expires: 2026-01-02'))).toEqual([]);
  expect(process.cpuUsage(from).user / 1_000).toBeLessThan(5_000);
}, 20_000);

it('who is led past a step when it expires comes to the next one then: a step that nobody gets in time was not named', () => {
  const slow = mail('slow', ', delay: 30 days, expires: 2026-01-20');
  expect(lates(slow, mail('next', ', expires: 2026-01-10'))).toEqual([
    '8 sequence.steps.0.expires',
    '9 sequence.steps.1.expires',
  ]);
  expect(lates(slow, mail('next', ', expires: 2026-01-25'))).toEqual(['8 sequence.steps.0.expires']);
});

it('the arm of a split test that waits least is asked: a step that the others come too late to was called out of reach', () => {
  const tested = mail(
    'tested',
    ', delay: 20 days, split: { judge: clicks, arms: [{ key: slow }, { key: soon, delay: 1 day }] }',
  );
  expect(lates(tested, mail('next', ', expires: 2026-01-10'))).toEqual([]);
  expect(lates(tested.replace('1 day', '12 days'), mail('next', ', expires: 2026-01-10'))).toHaveLength(1);
});
