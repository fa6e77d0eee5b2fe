import { isAsking, type SequenceDefinition, type TimedNode } from '../../sequences/definition.js';
import { beginOf, endOf, parseMoment } from '../../sequences/moment.js';
import { timingOf } from '../../sequences/prepared.js';
import { checkTiming, nextDueAt } from '../../sequences/schedule.js';
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
