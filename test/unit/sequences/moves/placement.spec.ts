import { describe, expect, it } from 'vitest';
import type { ExperimentTerms } from '../../../../src/experiments/experiment-terms.js';
import type {
  EmailNode,
  SequenceDefinition,
  SequenceNode,
} from '../../../../src/sequences/steps/definition.js';
import {
  placeIn,
  type DoneStep,
  type MoveMode,
  type Placement,
  type Standing,
} from '../../../../src/sequences/moves/placement.js';
import { prepareSequence, type PreparedSequence } from '../../../../src/sequences/steps/prepared.js';
import { dueAt } from '../../../../src/sequences/steps/due-at.js';
import { advance } from '../../../../src/sequences/steps/progress.js';

const START = new Date('2026-03-02T09:00:00Z');
const DAY_MS = 86_400_000;

const chain = (keys: readonly string[]): SequenceDefinition => ({
  window: null,
  exitOn: [],
  first: keys[0] ?? null,
  nodes: keys.map((key, index): EmailNode => ({
    kind: 'email',
    key,
    templateKey: 'emails/story',
    templateId: '1',
    delay: { value: 1, unit: 'days' },
    at: null,
    offer: null,
    deadline: null,
    next: keys[index + 1] ?? null,
  })),
});

/** Runs a sequence from a step until `stop` steps have gone or nothing is left. */
function walk(
  sequence: PreparedSequence,
  start: { stepKey: string | null; nextAt: Date; had: Record<string, string> | null },
  stop = Number.POSITIVE_INFINITY,
): { sent: DoneStep[]; stepKey: string | null; now: Date; nextAt: Date | null } {
  const sent: DoneStep[] = [];
  let { stepKey, nextAt } = start;
  let now = nextAt;
  while (stepKey !== null && sent.length < stop) {
    now = nextAt;
    const progress = advance(sequence, stepKey, {
      ...{ now, timeZone: 'UTC', wait: 'new', hoursOf: null, had: start.had },
      ...{
        answer: () => false,
        heardAt: () => null,
        date: () => undefined,
        arm: () => null,
        promise: () => null,
        owned: () => null,
      },
    });
    sent.push(...progress.sent.map(({ node }) => ({ key: node.key, outcome: 'ran', at: now })));
    if (progress.kind !== 'waiting' || progress.nextAt === 'deadline')
      return { sent, stepKey: null, now, nextAt: null };
    ({ stepKey, nextAt } = progress);
  }
  return { sent, stepKey, now, nextAt };
}

interface Moved {
  before: string[];
  placement: Placement;
  after: string[];
}

/** A person who has had the first `had` steps of `old`, half a day later taken to `next`, and on to the end. */
function move(old: readonly string[], next: readonly string[], had: number, mode: MoveMode): Moved {
  const [from, to] = [prepareSequence(chain(old)), prepareSequence(chain(next))];
  const first = old[0] ?? '';
  const begin = { stepKey: first, nextAt: dueAt(from, first, { now: START, timeZone: 'UTC' }), had: null };
  const {
    sent,
    stepKey,
    nextAt,
    now: last,
  } = had === 0 ? { sent: [], ...begin, now: START } : walk(from, begin, had);
  const now = new Date(last.getTime() + DAY_MS / 2);
  const standing: Standing = {
    status: stepKey === null ? 'completed' : 'active',
    stepKey,
    nextAt,
    startedAt: START,
    endedAt: stepKey === null ? last : null,
    timeZone: 'UTC',
    done: sent,
    had: null,
  };
  const placement = placeIn({ from, to }, standing, mode, now);
  const before = sent.map(({ key }) => key);
  if (placement.kind === 'stays') return { before, placement, after: [] };
  const on = { ...placement, nextAt: placement.nextAt ?? nextAt ?? now };
  return { before, placement, after: walk(to, on).sent.map(({ key }) => key) };
}

const OLD = ['a', 'b', 'c', 'd'];
const places = [0, 1, 2, 3, 4];
const added = places.map((at): [string, string[]] => [
  `x at ${at}`,
  [...OLD.slice(0, at), 'x', ...OLD.slice(at)],
]);
const removed = OLD.map((key): [string, string[]] => [
  `without ${key}`,
  OLD.filter((other) => other !== key),
]);
const permutations = (keys: readonly string[]): string[][] =>
  keys.length < 2
    ? [[...keys]]
    : keys.flatMap((key) =>
        permutations(keys.filter((other) => other !== key)).map((rest) => [key, ...rest]),
      );
const reordered = permutations(OLD).map((keys): [string, string[]] => [keys.join(''), keys]);
const edits = [...added, ...removed, ...reordered];
const table = edits.flatMap(([name, next]) =>
  places.map((had): [string, number, string[]] => [name, had, next]),
);
const LONG_AGO = new Date(0);

const rising = (keys: readonly string[], order: readonly string[]): boolean =>
  keys.every((key, index) => index === 0 || order.indexOf(key) > order.indexOf(keys[index - 1] ?? ''));

describe('people who are taken to another version', () => {
  it.each(table)(
    'forward-only: %s after %i steps gives nothing twice, and nothing before what they had',
    (_, had, next) => {
      const { before, placement, after } = move(OLD, next, had, { kind: 'forward-only' });
      expect(new Set([...before, ...after]).size).toBe(before.length + after.length);
      expect(rising(after, next)).toBe(true);
      const furthest = Math.max(-1, ...before.map((key) => next.indexOf(key)));
      expect(after.every((key) => next.indexOf(key) > furthest)).toBe(true);
      if (had === OLD.length) expect(placement).toEqual({ kind: 'stays', reason: 'finished' });
      // All that lies behind what they had comes, unless nothing tells where they are.
      else if (placement.kind === 'goes') expect(after).toEqual(next.slice(furthest + 1));
      else expect(before.filter((key) => next.includes(key))).toEqual([]);
    },
  );

  it.each(table)('catch-up: %s after %i steps gives nothing twice, and what was added', (_, had, next) => {
    const { before, after } = move(OLD, next, had, { kind: 'catch-up', since: LONG_AGO });
    expect(new Set([...before, ...after]).size).toBe(before.length + after.length);
    expect(rising(after, next)).toBe(true);
    if (next.includes('x')) expect(after).toContain('x');
    if (next.includes('x')) expect([...before, ...after].toSorted()).toEqual([...OLD, 'x']);
  });

  it.each(added)('catch-up within a window that is over is forward-only: %s', (_, next) => {
    for (const had of places) {
      const since = new Date('2030-01-01T00:00:00Z');
      const late = move(OLD, next, had, { kind: 'catch-up', since });
      expect(late.after).toEqual(move(OLD, next, had, { kind: 'forward-only' }).after);
    }
  });

  it('catches up with what was passed since, and not with what was passed before', () => {
    const next = ['a', 'x', 'b', 'c', 'y', 'd'];
    // a on day 1, b on day 2, c on day 3, d on day 4: x was passed on day 2, y on day 4.
    const since = new Date(START.getTime() + 3 * DAY_MS + 1);
    expect(move(OLD, next, 4, { kind: 'catch-up', since }).after).toEqual(['y']);
    expect(move(OLD, next, 3, { kind: 'catch-up', since }).after).toEqual(['y', 'd']);
    expect(move(OLD, next, 4, { kind: 'catch-up', since: LONG_AGO }).after).toEqual(['x', 'y']);
  });

  it.each(table)(
    're-map: %s after %i steps gives nothing twice, in the order of the version',
    (_, had, next) => {
      for (const target of next) {
        const steps = Object.fromEntries(OLD.map((key) => [key, target]));
        const { before, after } = move(OLD, next, had, { kind: 're-map', steps });
        expect(new Set([...before, ...after]).size).toBe(before.length + after.length);
        expect(rising(after, next)).toBe(true);
        if (had < OLD.length)
          expect(after).toEqual(next.slice(next.indexOf(target)).filter((key) => !before.includes(key)));
      }
    },
  );

  it('re-map leaves who stands at a step that is gone and was not named', () => {
    const mode: MoveMode = { kind: 're-map', steps: {} };
    expect(move(OLD, ['a', 'c', 'd'], 1, mode).placement).toEqual({ kind: 'stays', reason: 'not_mapped' });
    expect(move(OLD, ['a', 'c', 'd'], 2, mode).placement).toMatchObject({ kind: 'goes', stepKey: 'c' });
  });

  it('leaves people in peace whose steps are all gone', () => {
    expect(move(OLD, ['y', 'z'], 2, { kind: 'forward-only' }).placement).toEqual({
      kind: 'stays',
      reason: 'no_place',
    });
    expect(move(OLD, ['y', 'z'], 0, { kind: 'forward-only' }).after).toEqual(['y', 'z']);
  });

  it('keeps the time of a step that has not changed, and counts a new one from the step before', () => {
    const same = move(OLD, ['a', 'b', 'c'], 1, { kind: 'forward-only' });
    expect(same.placement).toMatchObject({ stepKey: 'b', nextAt: null });
    // a went on day 1; x comes a day later, however late the owner thought of it.
    const fresh = move(OLD, ['a', 'x', 'b'], 1, { kind: 'forward-only' });
    expect(fresh.placement).toMatchObject({ stepKey: 'x', nextAt: new Date(START.getTime() + 2 * DAY_MS) });
  });

  it('does not keep the wait of a step whose test of times has changed: it went days early or late', () => {
    /** `b` with arms that come after so many days; none: no test. */
    const course = (...days: number[]): PreparedSequence => {
      const { nodes, ...rest } = chain(['a', 'b']);
      const arms = days.map((value, index) => ({
        ...{ key: `arm-${index}`, templateKey: 'emails/story', templateId: '1', offer: null, deadline: null },
        ...{ delay: { value, unit: 'days' as const }, at: null },
      }));
      const terms = { isTimed: true, arms: arms.map(({ key }) => ({ key })) } as unknown as ExperimentTerms;
      const split = { experiment: `days ${days.join()}`, test: 'b', terms, arms };
      return prepareSequence({
        ...rest,
        nodes: nodes.map((node) =>
          node.key === 'b' && days.length > 0 ? ({ ...node, split } as EmailNode) : node,
        ),
      });
    };
    const at = (days: number): Date => new Date(START.getTime() + days * DAY_MS);
    const moved = (from: PreparedSequence, to: PreparedSequence): Date | null | undefined => {
      const done = [{ key: 'a', outcome: 'ran', at: START }];
      const standing = {
        stepKey: 'b',
        nextAt: at(5),
        startedAt: START,
        endedAt: null,
        timeZone: 'UTC',
        done,
        had: null,
      };
      const placement = placeIn(
        { from, to },
        { ...standing, status: 'active' },
        { kind: 'forward-only' },
        at(0.5),
      );
      return placement.kind === 'goes' ? placement.nextAt : undefined;
    };
    expect(moved(course(1, 5), course(1, 5))).toBeNull();
    expect(moved(course(1, 5), course())).toEqual(at(1));
    // The arm is drawn, or looked at, before its time is known.
    expect(moved(course(), course(1, 5))).toEqual(at(0.5));
    expect(moved(course(1, 5), course(1, 3))).toEqual(at(0.5));
  });

  it('keeps to the way people took at a branch', () => {
    const nodes = (more: SequenceNode[], then: string): SequenceNode[] => [
      ...chain(['a']).nodes.map((node) => ({ ...node, next: 'pick' }) as EmailNode),
      { kind: 'branch', key: 'pick', clicked: 'a', within: { value: 1, unit: 'days' }, then, else: 'no' },
      ...more,
      ...chain(['yes', 'no', 'end']).nodes.map(
        (node) => ({ ...node, next: node.key === 'end' ? null : 'end' }) as EmailNode,
      ),
    ];
    const [from, to] = [
      nodes([], 'yes'),
      nodes(
        chain(['x']).nodes.map((node) => ({ ...node, next: 'yes' }) as EmailNode),
        'x',
      ),
    ].map((list) => prepareSequence({ window: null, exitOn: [], first: 'a', nodes: list })) as [
      PreparedSequence,
      PreparedSequence,
    ];
    const at = (hours: number): Date => new Date(START.getTime() + hours * 3_600_000);
    const done = (way: string): DoneStep[] => [
      { key: 'a', outcome: 'ran', at: at(1) },
      { key: 'pick', outcome: way, at: at(2) },
      { key: way === 'then' ? 'yes' : 'no', outcome: 'ran', at: at(3) },
    ];
    const place = (way: string): Placement =>
      placeIn(
        { from, to },
        {
          ...{
            status: 'active',
            stepKey: 'end',
            nextAt: at(27),
            startedAt: START,
            endedAt: null,
            timeZone: 'UTC',
            had: null,
          },
          done: done(way),
        },
        { kind: 'catch-up', since: LONG_AGO },
        at(4),
      );
    expect(place('then')).toMatchObject({ stepKey: 'x', had: { yes: 'ran' } });
    expect(place('else')).toMatchObject({ stepKey: 'end', nextAt: null });
  });
});
