import { expect, it } from 'vitest';
import { timelineDifferences } from '../../../../src/funnels/simulation/timeline-diff.js';

it('names people, and shows lines with what stands around them', () => {
  const before = 'h\n\na (UTC)\n  1\n  2\n  3\n  4\n  5\n  6\n\nb (UTC)\n  1';
  const after = 'h\n\na (UTC)\n  1\n  2\n  3\n  4\n  five\n  6\n\nc (UTC)\n  1';
  expect(timelineDifferences(before, before)).toEqual([]);
  expect(timelineDifferences(before, after)).toEqual([
    ...['a (UTC)', '    3', '    4', '-   5', '+   five', '    6'],
    ...['- b (UTC)', '-   1', '+ c (UTC)', '+   1'],
  ]);
});

const text = (...people: string[]): string =>
  ['demo: 3 people from 2026-03-02 for 9 days', ...people, 'In all: 3 people\n  mails: 6 a'].join('\n\n');
const ada = 'ada 1-3 (UTC)\n  Mon  signs up\n  Tue  mail a\n  Wed  mail b';
const bo = 'bo 1 (UTC)\n  Mon  signs up';

it('does not mind in which order people stand', () => {
  expect(timelineDifferences(text(ada, bo), text(bo, ada))).toEqual([]);
});

it('compares a persona whose people have come to differ with those who are most alike', () => {
  const two = 'ada 1-2 (UTC)\n  Mon  signs up\n  Tue  mail a\n  Wed  mail b';
  const third = 'ada 3 (UTC)\n  Mon  signs up\n  Tue  buys kit';
  expect(timelineDifferences(text(ada, bo), text(third, two, bo))).toEqual([
    ...['- ada 1-3 (UTC)', '+ ada 1-2 (UTC)'],
    ...['+ ada 3 (UTC)', '+   Mon  signs up', '+   Tue  buys kit'],
  ]);
});

it('tells other sums, and another simulation, by their lines', () => {
  const other = text(ada)
    .replace('demo: 3 people', 'demo: 4 people')
    .replace('In all: 3 people\n  mails: 6 a', 'In all: 4 people\n  mails: 7 a');
  expect(timelineDifferences(text(ada), other)).toEqual([
    ...['- demo: 3 people from 2026-03-02 for 9 days', '+ demo: 4 people from 2026-03-02 for 9 days'],
    ...['- In all: 3 people', '+ In all: 4 people', '-   mails: 6 a', '+   mails: 7 a'],
  ]);
});
