import {
  isAsking,
  isMail,
  waysOut,
  type SequenceDefinition,
  type SequenceNode,
  type TimedNode,
} from '../../sequences/steps/definition.js';
import { beginOf, endOf, parseMoment } from '../../sequences/steps/moment.js';
import { timingOf } from '../../sequences/steps/prepared.js';
import { checkTiming, nextDueAt } from '../../sequences/steps/schedule.js';
import { addDuration } from '../../values/duration.js';
import type { DefinitionProblem } from './rules.js';

/** Between them lies every clock on earth; the last is where a day ends last. */
const ZONES = ['Pacific/Kiritimati', 'UTC', 'Etc/GMT+12'];
const LAST_ZONE = 'Etc/GMT+12';

/** Dates that have passed for everybody, and steps that expire before they can run. */
export function dateProblems(
  compiled: SequenceDefinition,
  places: ReadonlyMap<string, readonly PropertyKey[]>,
  now: Date,
): DefinitionProblem[] {
  const arrivals = ZONES.map((zone) => ({ zone, at: earliestArrivals(compiled, now, zone) }));
  return compiled.nodes.flatMap((node): DefinitionProblem[] => {
    if (isAsking(node)) return [];
    const path = places.get(node.key) ?? [];
    const never = neverInTime(node, compiled);
    if (never !== null) return [{ rule: 'never-in-time', path: [...path, 'expires'], message: never }];
    const passed: DefinitionProblem[] = [];
    if (node.until !== undefined && beginOf(parseMoment(node.until), LAST_ZONE) <= now) {
      const message = `${node.until} has passed, so nobody waits for it; use a date that is still to come`;
      passed.push({ rule: 'date-passed', path: [...path, 'until'], message });
    }
    if (node.expires !== undefined && endOf(parseMoment(node.expires), LAST_ZONE) <= now) {
      const message = `${node.expires} has passed, so the step is passed over; use a date that is still to come, or take the step out`;
      passed.push({ rule: 'date-passed', path: [...path, 'expires'], message });
    } else if (arrivals.every(({ zone, at }) => isLateFrom(node, at.get(node.key), compiled, zone))) {
      const message = `who joins from now on comes to the step when it has expired at ${node.expires}; use a later date, or less time on the way`;
      passed.push({ rule: 'never-in-time', path: [...path, 'expires'], message });
    }
    return passed;
  });
}

function neverInTime(node: TimedNode, compiled: SequenceDefinition): string | null {
  const { until, expires } = node;
  if (until === undefined || expires === undefined) return null;
  const timing = timingOf(node, compiled);
  // What leaves no time at all is an error of its own.
  if (checkTiming(timing).length > 0) return null;
  const isLate = ZONES.every((zone) => {
    const begin = beginOf(parseMoment(until), zone);
    return nextDueAt(timing, begin, zone) >= endOf(parseMoment(expires), zone);
  });
  return isLate
    ? `the step runs at ${until} at the earliest, when it has expired; use a date after that`
    : null;
}

/** Whether a step has expired before it can run for who comes to it at `arrival` at the earliest. */
function isLateFrom(
  node: TimedNode,
  arrival: Date | undefined,
  compiled: SequenceDefinition,
  zone: string,
): boolean {
  if (node.expires === undefined || arrival === undefined) return false;
  const due = soonestDue(node, arrival, compiled, zone);
  return due !== null && due >= endOf(parseMoment(node.expires), zone);
}

/** When the step runs at the earliest for who comes at `arrival`, in whichever arm; null where no time is left. */
function soonestDue(node: TimedNode, arrival: Date, compiled: SequenceDefinition, zone: string): Date | null {
  const arms = isMail(node) && node.split !== undefined ? node.split.arms : [];
  const variants = [node, ...arms.map(({ delay, at }) => ({ ...node, delay, at }))];
  const dues = variants
    .map((variant) => timingOf(variant, compiled))
    .filter((timing) => checkTiming(timing).length === 0)
    .map((timing) => nextDueAt(timing, arrival, zone).getTime());
  return dues.length === 0 ? null : new Date(Math.min(...dues));
}

/**
 * When somebody on that clock who joins now comes to each step on the shortest way; a goal may be reached at once. Who
 * comes later leaves no earlier, so the first to be taken is final: Dijkstra's, each step once however many ways lead there.
 */
function earliestArrivals(compiled: SequenceDefinition, now: Date, zone: string): Map<string, Date> {
  const nodes = new Map(compiled.nodes.map((node) => [node.key, node]));
  const arrivals = new Map<string, Date>();
  const goals = compiled.nodes.filter(({ kind }) => kind === 'goal').map(({ key }) => key);
  const open = new Map([compiled.first, ...goals].flatMap((key) => (key === null ? [] : [[key, now]])));
  for (let come = soonest(open); come !== null; come = soonest(open)) {
    const { key, at } = come;
    open.delete(key);
    arrivals.set(key, at);
    const node = nodes.get(key);
    if (node === undefined) continue;
    for (const { outcome, to } of waysOut(node)) {
      if (to === null || arrivals.has(to)) continue;
      const comes = leavesAt(node, { outcome, at }, compiled, zone);
      const known = open.get(to);
      if (known === undefined || comes < known) open.set(to, comes);
    }
  }
  return arrivals;
}

function soonest(open: ReadonlyMap<string, Date>): { key: string; at: Date } | null {
  let first: { key: string; at: Date } | null = null;
  for (const [key, at] of open) if (first === null || at < first.at) first = { key, at };
  return first;
}

function leavesAt(
  node: SequenceNode,
  { outcome, at }: { outcome: string; at: Date },
  compiled: SequenceDefinition,
  zone: string,
): Date {
  if (isAsking(node)) {
    const waits = (node.kind === 'branch' || node.kind === 'choice') && outcome === 'else';
    return waits && node.within !== null ? addDuration(at, node.within, zone) : at;
  }
  const dueAt = soonestDue(node, at, compiled, zone);
  // What leaves no time is an error of its own.
  if (dueAt === null) return at;
  if (node.expires === undefined) return dueAt;
  // As the run: who is not served in time is led past the step when it expires, or at once where it has.
  const expiresAt = endOf(parseMoment(node.expires), zone);
  if (expiresAt >= dueAt) return dueAt;
  return expiresAt > at ? expiresAt : at;
}
