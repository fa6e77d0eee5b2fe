import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { sequenceDefinition } from '../../../src/funnels/publish/sequence-definition.js';
import { isAsking, stepsFrom, waysOut } from '../../../src/sequences/steps/definition.js';
import {
  placeIn,
  type DoneStep,
  type MoveMode,
  type Standing,
} from '../../../src/sequences/moves/placement.js';
import { prepareSequence, type PreparedSequence } from '../../../src/sequences/steps/prepared.js';
import { dueAt } from '../../../src/sequences/steps/due-at.js';
import { advance } from '../../../src/sequences/steps/progress.js';
import { file, read } from './path-files.js';

const START = new Date('2026-03-02T09:00:00Z');
const DAY_MS = 86_400_000;
/** More of them: `EDITS=2000 npx vitest run …`. */
const RUNS = Number(process.env['EDITS'] ?? 60);

type Tree = Step[];
type Step = { kind: 'mail'; key: string } | { kind: 'split' | 'branch'; key: string; ways: Tree[] };
type Shape = 'mail' | { kind: 'split' | 'branch'; ways: Shape[][] };

const shapes = fc.letrec<{ list: Shape[]; step: Shape }>((tie) => ({
  list: fc.array(tie('step'), { maxLength: 3 }),
  step: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    { weight: 3, arbitrary: fc.constant<Shape>('mail') },
    fc.record({ kind: fc.constantFrom('split', 'branch'), ways: fc.tuple(tie('list'), tie('list')) }),
  ),
}));
const treeOf = (list: readonly Shape[], names: { next: number }): Tree =>
  list.map((shape) => {
    const key = `s${names.next++}`;
    if (shape === 'mail') return { kind: 'mail', key };
    return { kind: shape.kind, key, ways: shape.ways.map((way) => treeOf(way, names)) };
  });

/** Places where a step may stand: a list and an index in it. */
const spots = (tree: Tree): { list: Tree; index: number }[] => [
  ...Array.from({ length: tree.length + 1 }, (_, index) => ({ list: tree, index })),
  ...tree.flatMap((step) => (step.kind === 'mail' ? [] : step.ways.flatMap(spots))),
];
type Edit = { kind: 'add' | 'remove' | 'move'; from: number; to: number };
const edited = (tree: Tree, edits: readonly Edit[]): Tree => {
  const copy = structuredClone(tree);
  const steps = (): { list: Tree; index: number }[] =>
    spots(copy).filter(({ list, index }) => index < list.length);
  for (const [nth, { kind, from, to }] of edits.entries()) {
    let step: Step | undefined = { kind: 'mail', key: `new${nth}` };
    if (kind !== 'add') {
      const all = steps();
      const spot = all[from % Math.max(1, all.length)];
      [step] = spot === undefined ? [] : spot.list.splice(spot.index, 1);
    }
    const free = spots(copy);
    const spot = free[to % free.length];
    if (kind !== 'remove' && step !== undefined) spot?.list.splice(spot.index, 0, step);
  }
  return copy;
};

const mailYaml = (key: string) => ({ key, email: 'emails/story', delay: '1 day' });
const yamlOf = (tree: Tree): unknown[] =>
  tree.map((step) => {
    if (step.kind === 'mail') return mailYaml(step.key);
    const [one = [], other = []] = step.ways.map(yamlOf);
    if (step.kind === 'branch') return { key: step.key, if: { tag: step.key }, then: one, else: other };
    const arms = [
      { key: 'a', steps: one },
      { key: 'b', steps: other },
    ];
    return { key: step.key, split: { judge: 'revenue', arms } };
  });
/** With a mail at both ends, so that nothing is empty. */
const prepare = (tree: Tree): PreparedSequence => {
  const steps = [mailYaml('first'), ...yamlOf(tree), mailYaml('last')];
  const { definition } = read(file(stringify(steps, { lineWidth: 0 }).trimEnd()));
  return prepareSequence(
    sequenceDefinition(definition, { templateId: (key) => key, offer: () => undefined }),
  );
};

/** Which way a person goes at each step that asks; the same in every version. */
type Ways = (key: string) => boolean;

function walk(
  sequence: PreparedSequence,
  start: { stepKey: string | null; nextAt: Date; had: Record<string, string> | null },
  { ways, stop = Number.POSITIVE_INFINITY }: { ways: Ways; stop?: number },
): { done: DoneStep[]; stepKey: string | null; nextAt: Date } {
  const done: DoneStep[] = [];
  let { stepKey, nextAt } = start;
  const mails = (): number => done.filter(({ outcome }) => outcome === 'ran').length;
  while (stepKey !== null && mails() < stop) {
    const now = nextAt;
    const progress = advance(sequence, stepKey, {
      ...{
        now,
        timeZone: 'UTC',
        wait: 'new',
        heardAt: () => null,
        hoursOf: null,
        had: start.had,
        date: () => undefined,
        promise: () => null,
        owned: () => null,
      },
      answer: (leaf) => leaf.kind === 'tag' && ways(leaf.tag),
      arm: (experiment) => {
        const arm = ways(experiment.split('/')[1] ?? '') ? 'a' : 'b';
        return { experimentId: '1', arm, period: 0, carried: false, isNew: false };
      },
    });
    done.push(...progress.sent.map(({ node }) => ({ key: node.key, outcome: 'ran', at: now })));
    done.push(...progress.passed.map((step) => ({ ...step, at: now })));
    if (progress.kind !== 'waiting' || progress.nextAt === 'deadline')
      return { done, stepKey: null, nextAt: now };
    ({ stepKey, nextAt } = progress);
  }
  return { done, stepKey, nextAt };
}

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom('add', 'remove', 'move'),
  from: fc.nat(99),
  to: fc.nat(99),
});
const modes: MoveMode[] = [
  { kind: 'forward-only' },
  { kind: 'catch-up', since: new Date(0) },
  { kind: 're-map', steps: {} },
];

describe('a sequence of split tests and branches that is edited while people are in it', () => {
  it.each(modes)('gives nobody a step twice or out of order: $kind', (mode) => {
    let moved = 0;
    fc.assert(
      fc.property(
        fc.tuple(shapes.list, fc.array(edit, { minLength: 1, maxLength: 3 }), fc.nat(6), fc.nat()),
        ([shape, edits, stop, luck]) => {
          const tree = treeOf(shape, { next: 0 });
          const [from, to] = [prepare(tree), prepare(edited(tree, edits))];
          const ways: Ways = (key) => ((luck >> (Number(key.slice(1)) % 16)) & 1) === 1;
          const begin = {
            stepKey: 'first',
            nextAt: dueAt(from, 'first', { now: START, timeZone: 'UTC' }),
            had: null,
          };
          const before = walk(from, begin, { ways, stop });
          const now = new Date(before.nextAt.getTime() - DAY_MS / 2);
          const standing: Standing = {
            ...{ status: before.stepKey === null ? 'completed' : 'active', stepKey: before.stepKey },
            ...{
              nextAt: before.nextAt,
              startedAt: START,
              endedAt: before.stepKey === null ? before.nextAt : null,
            },
            ...{ timeZone: 'UTC', done: before.done, had: null },
          };
          const placement = placeIn({ from, to }, standing, mode, now);
          if (placement.kind === 'stays') return;
          moved++;
          const after = walk(to, { ...placement, nextAt: placement.nextAt ?? before.nextAt }, { ways });
          const order = to.definition.nodes.map(({ key }) => key);
          const had = before.done.map(({ key }) => key);
          const keys = after.done.map(({ key }) => key);
          expect(keys.filter((key) => had.includes(key))).toEqual([]);
          expect(new Set(keys).size).toBe(keys.length);
          expect(keys.toSorted((one, other) => order.indexOf(one) - order.indexOf(other))).toEqual(keys);
          // Each goes down one way of a step that asks, also where it was asked in the version before.
          for (const node of to.definition.nodes) {
            if (!isAsking(node)) continue;
            const outcomes = [...before.done, ...after.done].filter(({ key }) => key === node.key);
            expect(outcomes.length).toBeLessThan(2);
          }
          // Whoever was asked before goes on along that way, wherever an edit has put the mails they had.
          const asked = new Map(before.done.map(({ key, outcome }) => [key, outcome]));
          const own = stepsFrom(to.nodes, to.definition.first, (node) => {
            const taken = waysOut(node).filter(
              ({ outcome }) => isAsking(node) && outcome === asked.get(node.key),
            );
            return (taken.length > 0 ? taken : waysOut(node)).map((way) => way.to);
          });
          if (mode.kind !== 're-map') expect(keys.filter((key) => !own.has(key))).toEqual([]);
          const furthest = Math.max(
            -1,
            ...had.filter((key) => own.has(key)).map((key) => order.indexOf(key)),
          );
          if (mode.kind === 'forward-only')
            expect(keys.filter((key) => order.indexOf(key) < furthest)).toEqual([]);
        },
      ),
      { numRuns: RUNS, seed: 20_261_126 },
    );
    expect(moved).toBeGreaterThan(RUNS / 4);
  });
});
