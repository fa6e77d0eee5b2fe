import { describe, expect, it } from 'vitest';
import { peopleWords } from '../../../src/funnels/changes/people-affected.js';
import type { SequenceDefinition } from '../../../src/sequences/steps/definition.js';
import { MoveCount, type MovePreview } from '../../../src/sequences/moves/move-count.js';
import { placeIn, type DoneStep, type Standing } from '../../../src/sequences/moves/placement.js';
import { prepareSequence } from '../../../src/sequences/steps/prepared.js';
import { arm, compiled, mail, split } from './path-files.js';

const START = new Date('2026-03-02T09:00:00Z');
/** People who are alike: how many, where they stand, and what is behind them. */
type Group = [people: number, at: string, done: Record<string, string>];

const before: Group = [40, 'a', {}];
const onShort: Group = [10, 's1', { a: 'ran', fork: 'arm short' }];
const onLong: Group = [20, 'l1', { a: 'ran', fork: 'arm long' }];
const behind: Group = [7, 'z', { a: 'ran', fork: 'arm short', s1: 'ran' }];

const day = ', delay: 1 day';
const steps = (...middle: string[]): string =>
  [`- ${mail('a')}`, ...middle, `- ${mail('z', day)}`].join('\n');
const short = arm('short', mail('s1', day));
const later = ', delay: 2 days';
const long = arm('long', mail('l1', later));
const plain = steps(split([short, long]));
const longer = steps(split([short, arm('long', mail('l1', later), mail('new', day))]));
const both = steps(
  split([arm('short', mail('s1', day), mail('s2', day)), arm('long', mail('l1', later), mail('l2', day))]),
);

const counted = (old: string, next: string, groups: readonly Group[]): MovePreview => {
  const prepare = (text: string) => prepareSequence(compiled(text) satisfies SequenceDefinition);
  const [from, to] = [prepare(old), prepare(next)];
  const count = new MoveCount();
  for (const [people, stepKey, done] of groups) {
    const standing: Standing = {
      ...{ status: 'active', stepKey, nextAt: START, startedAt: START, endedAt: null, timeZone: 'UTC' },
      done: Object.entries(done).map(([key, outcome]): DoneStep => ({ key, outcome, at: START })),
      had: null,
    };
    count.add(
      { from, to },
      standing,
      placeIn({ from, to }, standing, { kind: 'forward-only' }, START),
      people,
    );
  }
  return count.result(2);
};
const words = (preview: MovePreview): string[] =>
  peopleWords({ sequence: 'course', choice: 'stay', ...preview, steps: [] }).slice(1);

describe('a plan says of people before a split test only what is sure', () => {
  it.each<[name: string, old: string, next: string, groups: Group[], lines: string[]]>([
    [
      'before a split, one arm of which is longer',
      plain,
      longer,
      [before],
      ['up to 40 (about 20 by the weights of split tests) would newly get step new'],
    ],
    ['on that arm already', plain, longer, [onLong], ['20 would newly get step new']],
    ['on the other arm', plain, longer, [onShort], []],
    [
      'some before it and some on the arm',
      plain,
      longer,
      [before, onShort, onLong, behind],
      ['20 to 60 (about 40 by the weights of split tests) would newly get step new'],
    ],
    [
      'each of two arms is longer: one of both comes to all of them, and counts once',
      plain,
      both,
      [before],
      [
        'up to 40 (about 20 by the weights of split tests) would newly get step l2',
        'up to 40 (about 20 by the weights of split tests) would newly get step s2',
        'in all, 40 would newly get one or more of l2, s2',
      ],
    ],
    [
      'an arm may be held out, who then get neither',
      plain,
      both.replace('judge: revenue', 'judge: revenue, holdout: 10%'),
      [before],
      [
        'up to 40 (about 18 by the weights of split tests) would newly get step l2',
        'up to 40 (about 18 by the weights of split tests) would newly get step s2',
        'in all, up to 40 (about 36 by the weights of split tests) would newly get one or more of l2, s2',
      ],
    ],
    [
      'a mail behind the split comes to all',
      plain,
      `${plain}\n- ${mail('new', day)}`,
      [before, onLong],
      ['60 would newly get step new'],
    ],
    [
      'a step of an arm goes',
      longer,
      plain,
      [before],
      ['up to 40 (about 20 by the weights of split tests) would no longer get step new'],
    ],
    [
      'a mail for all becomes one of an arm',
      steps(`- ${mail('new', day)}`, split([short, long])),
      longer,
      [before],
      ['up to 40 (about 20 by the weights of split tests) would no longer get step new'],
    ],
    [
      'a mail of an arm becomes one for all',
      longer,
      steps(split([short, long]), `- ${mail('new', day)}`),
      [before],
      ['up to 40 (about 20 by the weights of split tests) would newly get step new'],
    ],
    [
      'arms are drawn by their weights, in a split within a split as well',
      steps(),
      steps(
        split([
          `{ key: wide, weight: 3, steps: [${mail('w')}] }`,
          arm(
            'narrow',
            split([arm('x', mail('x')), arm('y', mail('y'), mail('v'))], 'judge: revenue', 'inner').slice(2),
          ),
        ]),
      ),
      [before],
      [
        'up to 40 (about 5 by the weights of split tests) would newly get step y',
        'up to 40 (about 5 by the weights of split tests) would newly get step v',
        'up to 40 (about 5 by the weights of split tests) would newly get step x',
        'up to 40 (about 30 by the weights of split tests) would newly get step w',
        'in all, 40 would newly get one or more of y, v, x, w',
      ],
    ],
    [
      'what a branch will say within an arm nobody knows',
      steps(),
      steps(
        split([
          arm('short', mail('w')),
          arm('asks', `{ key: vip, if: { tag: vip }, then: [${mail('x')}], else: [${mail('y')}] }`),
        ]),
      ),
      [before],
      [
        'up to 40 would newly get step y',
        'up to 40 would newly get step x',
        'up to 40 (about 20 by the weights of split tests) would newly get step w',
        'in all, 40 would newly get one or more of y, x, w',
      ],
    ],
    [
      'a branch is no surer than a split',
      steps(),
      steps(`- { key: asks, if: { tag: vip }, then: [${mail('yes')}], else: [${mail('no')}] }`),
      [[1, 'a', {}]],
      [
        'up to 1 would newly get step no',
        'up to 1 would newly get step yes',
        'in all, 1 would newly get one or more of no, yes',
      ],
    ],
    [
      'a step that may be passed over',
      steps(),
      steps(
        `- ${mail('early', ', expires: 2099-01-01')}`,
        `- ${mail('dated', ', until: { field: trialEnd }')}`,
      ),
      [before],
      [
        'up to 40 would newly get step early',
        'up to 40 would newly get step dated',
        'in all, up to 40 would newly get one or more of early, dated',
      ],
    ],
  ])('%s', (_, old, next, groups, lines) => {
    expect(words(counted(old, next, groups)).map((line) => line.trim())).toEqual(lines);
  });

  it('in numbers, too', () => {
    expect(counted(plain, both, [before, onLong])).toMatchObject({
      people: 60,
      gains: [
        { step: 'l2', people: 60, sure: 20, expected: 40 },
        { step: 's2', people: 40, sure: 0, expected: 20 },
      ],
      gainers: { people: 60, sure: 60 },
      losers: { people: 0, sure: 0 },
      owners: [],
    });
  });
});
