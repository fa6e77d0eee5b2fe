import { describe, expect, it } from 'vitest';
import type { Reentry } from '../../../../src/sequences/steps/definition.js';
import { mayJoin, type EarlierTimes } from '../../../../src/sequences/enrollments/joining.js';

const NOW = new Date('2026-03-10T12:00:00Z');
const earlier = (more: Partial<EarlierTimes> = {}): EarlierTimes => ({
  ...{ count: 1, isIn: false, sameEntry: false },
  lastStartedAt: new Date('2026-03-05T12:00:00Z'),
  lastAt: new Date('2026-03-07T12:00:00Z'),
  ...more,
});
const always: Reentry = { mode: 'always' };
const after = (days: number): Reentry => ({ mode: 'after', days });
const perEvent: Reentry = { mode: 'event' };
const justNow = { lastStartedAt: new Date('2026-03-10T11:30:00Z'), lastAt: new Date('2026-03-10T11:30:00Z') };

describe('joining a sequence', () => {
  it.each<
    [string, Reentry | undefined, EarlierTimes | null, { entryKey?: string; byStep?: boolean }, boolean]
  >([
    ['the first time, whatever the rule', undefined, null, {}, true],
    ['the first time, without an event where each has its own', perEvent, null, {}, true],
    ['again, where nobody may', undefined, earlier(), {}, false],
    ['again, where everybody may', always, earlier(), {}, true],
    ['while in it', always, earlier({ isIn: true }), {}, false],
    ['again at once, by themselves', always, earlier(justNow), {}, true],
    ['again at once, by a step that leads back', always, earlier(justNow), { byStep: true }, false],
    ['again an hour later, by a step', always, earlier(), { byStep: true }, true],
    [
      'again by what happened while in it and is told after the end',
      always,
      earlier({ lastAt: new Date('2026-03-10T12:00:01Z') }),
      {},
      false,
    ],
    ['again three days after the end, where three are asked', after(3), earlier(), {}, true],
    ['again before they are over', after(4), earlier(), {}, false],
    [
      'again for another event, though in it',
      perEvent,
      earlier({ isIn: true }),
      { entryKey: 'order 2' },
      true,
    ],
    ['again for the same event', perEvent, earlier({ sameEntry: true }), { entryKey: 'order 1' }, false],
    ['again without an event', perEvent, earlier(), {}, false],
  ])('%s', (_, reentry, before, cause, expected) => {
    expect(mayJoin(reentry, before, { now: NOW, byStep: false, ...cause })).toBe(expected);
  });
});
