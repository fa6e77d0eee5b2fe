import { isAsking, isMail, stepsFrom, waysOut, type SequenceNode } from '../steps/definition.js';
import { questionsOf, type PreparedSequence } from '../steps/prepared.js';
import { dueSince, withoutDelay } from '../steps/due-at.js';

/** A step that is behind a person in any version, with what came of it. */
export interface DoneStep {
  key: string;
  outcome: string;
  at: Date;
  /** Of a mail: when it went, or is to go; what is behind it counts from then. Left out: `at`. */
  wentAt?: Date;
}

/** Where somebody stands in the version they are pinned to. */
export interface Standing {
  status: 'active' | 'completed';
  stepKey: string | null;
  nextAt: Date | null;
  startedAt: Date;
  endedAt: Date | null;
  timeZone: string;
  done: readonly DoneStep[];
  /** From an earlier move. */
  had: Readonly<Record<string, string>> | null;
}

/** How the owner wants people taken to the new version. */
export type MoveMode =
  /** Behind the furthest step they have had; what was added before it does not come any more. */
  | { kind: 'forward-only' }
  /** As forward-only, but steps that were added at a place they passed since then come first. */
  | { kind: 'catch-up'; since: Date }
  /** From each present step to the one the owner names; a step that is not named keeps its own. */
  | { kind: 're-map'; steps: Readonly<Record<string, string>> };

export type Placement =
  /** `no_place`: nothing they have had is in the new version. `not_mapped`: their step is not, and no other was named. */
  | { kind: 'stays'; reason: 'finished' | 'no_place' | 'not_mapped' }
  | {
      kind: 'goes';
      /** Null: the sequence is over for them. */
      stepKey: string | null;
      /** Null when they are where they were: the wait goes on as it stands. */
      nextAt: Date | null;
      had: Record<string, string> | null;
    };

export interface Versions {
  from: PreparedSequence;
  to: PreparedSequence;
}

/** Where a person goes in the new version. Pure; nothing they have had comes again. */
export function placeIn(versions: Versions, standing: Standing, mode: MoveMode, now: Date): Placement {
  const { to } = versions;
  const order = orderOf(to);
  const furthest = lastOf(stillBehind(versions, standing.done), order);
  if (mode.kind === 're-map') return mapped(versions, standing, mode.steps, now);
  if (furthest === null && standing.done.length > 0) return { kind: 'stays', reason: 'no_place' };
  const ahead = furthest === null ? to.definition.first : behindStep(to, furthest);
  if (mode.kind === 'catch-up') {
    const missed = missedSteps(versions, standing, ahead, mode.since);
    const [first] = missed;
    if (first !== undefined) return caughtUp(to, standing, { missed, first, furthest, now });
    if (standing.status === 'completed' && (standing.endedAt === null || standing.endedAt < mode.since))
      return { kind: 'stays', reason: 'finished' };
    if (standing.status === 'completed' && ahead === null) return { kind: 'stays', reason: 'finished' };
  } else if (standing.status === 'completed') return { kind: 'stays', reason: 'finished' };
  return goesTo(versions, standing, ahead, now);
}

/** The mails that may still come to somebody who is at `from`. */
export function mailsAhead(
  sequence: PreparedSequence,
  from: string | null,
  had: Readonly<Record<string, string>> | null,
): string[] {
  return stepsAhead(sequence, from, had).filter((key) => {
    const node = sequence.nodes.get(key);
    return node !== undefined && isMail(node);
  });
}

/** The steps that may still come to somebody who is at `from`, their own among them. */
export function stepsAhead(
  { nodes }: PreparedSequence,
  from: string | null,
  had: Readonly<Record<string, string>> | null,
): string[] {
  return [...stepsFrom(nodes, from)].filter((key) => had?.[key] === undefined);
}

/** A step's place in the file; every way leads to a higher one. */
function orderOf({ definition }: PreparedSequence): Map<string, number> {
  return new Map(definition.nodes.map(({ key }, index) => [key, index]));
}

/**
 * Of what they have had, the steps that the new version has where they may have come by: one that an edit has taken from
 * their path of a split or branch to another does not take them there, too.
 */
function stillBehind({ from, to }: Versions, done: readonly DoneStep[]): DoneStep[] {
  const [before, after] = [wayIn(from, done), wayIn(to, done)];
  return done.filter(({ key }) => to.nodes.has(key) && (after.has(key) || !before.has(key)));
}

/** The steps that one may come to who has gone, wherever they were asked, the way that is written down. */
function wayIn({ nodes, definition }: PreparedSequence, done: readonly DoneStep[]): Set<string> {
  const outcomes = outcomesOf(done);
  return stepsFrom(nodes, definition.first, (node) => {
    const ways = waysOut(node);
    const taken = isAsking(node) ? ways.find(({ outcome }) => outcome === outcomes[node.key]) : undefined;
    return (taken === undefined ? ways : [taken]).map(({ to }) => to);
  });
}

function lastOf(steps: readonly DoneStep[], order: ReadonlyMap<string, number>): DoneStep | null {
  return steps.reduce<DoneStep | null>(
    (last, step) => (last === null || rank(order, step.key) > rank(order, last.key) ? step : last),
    null,
  );
}

function rank(order: ReadonlyMap<string, number>, key: string | null): number {
  return key === null ? Number.POSITIVE_INFINITY : (order.get(key) ?? -1);
}

/** A branch whose outcome the new version does not have is asked again. */
function behindStep({ nodes }: PreparedSequence, { key, outcome }: DoneStep): string | null {
  const node = nodes.get(key);
  if (!node) return null;
  const ways = waysOut(node);
  const way = ways.find((one) => one.outcome === outcome) ?? (isAsking(node) ? undefined : ways[0]);
  return way === undefined ? key : way.to;
}

/** Steps that were added on the person's way, at places they passed at `since` or later; in order. */
function missedSteps(
  { from, to }: Versions,
  { done, endedAt }: Standing,
  ahead: string | null,
  since: Date,
): string[] {
  const order = orderOf(to);
  const outcomes = new Map(done.map((step) => [step.key, step]));
  const missed: string[] = [];
  const isMissed = (step: string): boolean => {
    if (outcomes.has(step) || from.nodes.has(step)) return false;
    const passedAt = passingOf(done, order, step) ?? endedAt;
    return passedAt !== null && passedAt >= since;
  };
  let key = to.definition.first;
  while (key !== null && key !== ahead) {
    const node: SequenceNode | undefined = to.nodes.get(key);
    if (!node) break;
    const was = outcomes.get(key);
    const isNew = isMissed(key);
    if (isNew) missed.push(key);
    if (was === undefined && isAsking(node)) {
      // Where a new branch leads is asked when they come to it: what was added on any of its ways is missed as well.
      if (isNew) missed.push(...[...stepsFrom(to.nodes, key)].filter((one) => one !== key && isMissed(one)));
      break;
    }
    key = was === undefined ? (waysOut(node)[0]?.to ?? null) : behindStep(to, was);
    if (was !== undefined && key === node.key) break;
  }
  return missed;
}

/** When the person passed the place of a step they have not had: when the first step behind it ran. */
function passingOf(done: readonly DoneStep[], order: ReadonlyMap<string, number>, key: string): Date | null {
  const later = done.filter((step) => rank(order, step.key) > rank(order, key)).map(({ at }) => at.getTime());
  return later.length === 0 ? null : new Date(Math.min(...later));
}

function caughtUp(
  to: PreparedSequence,
  standing: Standing,
  {
    missed,
    first,
    furthest,
    now,
  }: { missed: readonly string[]; first: string; furthest: DoneStep | null; now: Date },
): Placement {
  const order = orderOf(to);
  const had: Record<string, string> = {};
  for (const { key } of to.definition.nodes) {
    const isBehind = rank(order, key) < rank(order, furthest?.key ?? first);
    // Added, but at a place they passed too long ago.
    if (isBehind && rank(order, key) > rank(order, first) && !missed.includes(key))
      had[key] = passedOver(to, key);
  }
  Object.assign(had, standing.had, outcomesOf(standing.done));
  for (const key of missed) delete had[key];
  const nextAt = withoutDelay(to, first, { now, timeZone: standing.timeZone });
  return { kind: 'goes', stepKey: first, nextAt, had: from(had, order, first) };
}

function passedOver({ nodes }: PreparedSequence, key: string): string {
  const node = nodes.get(key);
  if (node?.kind === 'goal') return 'reached';
  // Whichever path: its steps are passed over, too.
  if (node?.kind === 'split') return waysOut(node)[0]?.outcome ?? '';
  return node !== undefined && isAsking(node) ? 'else' : 'ran';
}

function mapped(
  versions: Versions,
  standing: Standing,
  steps: Readonly<Record<string, string>>,
  now: Date,
): Placement {
  if (standing.status === 'completed' || standing.stepKey === null)
    return { kind: 'stays', reason: 'finished' };
  const target = steps[standing.stepKey] ?? standing.stepKey;
  if (!versions.to.nodes.has(target)) return { kind: 'stays', reason: 'not_mapped' };
  return goesTo(versions, standing, target, now);
}

function goesTo(versions: Versions, standing: Standing, key: string | null, now: Date): Placement {
  const { to } = versions;
  const order = orderOf(to);
  const had = from({ ...standing.had, ...outcomesOf(standing.done) }, order, key);
  if (key === null) return { kind: 'goes', stepKey: null, nextAt: null, had: null };
  if (key === standing.stepKey && waitsAlike(versions, key))
    return { kind: 'goes', stepKey: key, nextAt: null, had };
  const since = standing.done.reduce(
    (last, { at, wentAt = at }) => (wentAt > last ? wentAt : last),
    standing.startedAt,
  );
  const { timeZone } = standing;
  return { kind: 'goes', stepKey: key, had, nextAt: dueSince(to, key, { since, now, timeZone }) };
}

/** Whether the step waits for the same in both versions. */
function waitsAlike({ from: before, to }: Versions, key: string): boolean {
  const waits = (sequence: PreparedSequence): string => {
    const node = sequence.nodes.get(key);
    const within = node?.kind === 'branch' || node?.kind === 'choice' ? node.within : null;
    const dated = node && !isAsking(node) ? node.untilField : null;
    const asked = node === undefined ? [] : questionsOf(node);
    const isTimedTest = node !== undefined && isMail(node) && node.split?.terms.isTimed === true;
    const arms = isTimedTest
      ? [...(sequence.arms.get(key) ?? [])].map(([arm, { timing }]) => [arm, timing])
      : [];
    return JSON.stringify([sequence.timings.get(key), within, dated, asked, arms]);
  };
  return waits(before) === waits(to);
}

function outcomesOf(done: readonly DoneStep[]): Record<string, string> {
  return Object.fromEntries(done.map(({ key, outcome }) => [key, outcome]));
}

/** Only what could still come up; null when nothing could. */
function from(
  had: Readonly<Record<string, string>>,
  order: ReadonlyMap<string, number>,
  key: string | null,
): Record<string, string> | null {
  if (key === null) return null;
  const left = Object.entries(had).filter(
    ([step]) => order.has(step) && rank(order, step) >= rank(order, key),
  );
  return left.length === 0 ? null : Object.fromEntries(left);
}
