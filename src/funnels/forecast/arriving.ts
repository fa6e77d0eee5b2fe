import { dueAt } from '../../sequences/steps/due-at.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { totalOf, type SignUpHistory } from './newcomers.js';
import type { Arriving, Join } from './outlook.js';
import { pathsFrom, type ForecastPath, type PathQuestion } from './paths.js';
import { DAY_MS } from '../../values/time-units.js';

/** Each is about as much work as a group of people who are in a sequence now. */
const MOST_WALKS = 90;

/** Where newcomers come in: the current version of a sequence. */
export interface Entrance {
  version: string;
  sequence: string;
  history: SignUpHistory;
}

/**
 * The ways of those who will sign up on each day of the forecast, at noon, on the clock that the sequence falls back to.
 * With many sequences a few days share the way of the first of them, so many days later.
 */
export function arrivingAt(entrances: readonly Entrance[], question: PathQuestion): Arriving[] {
  const open = entrances.filter(({ history }) => totalOf(history) > 0 && history.end > history.first);
  const today = Math.floor(question.from.getTime() / DAY_MS);
  const days = Math.ceil((question.until.getTime() - today * DAY_MS) / DAY_MS);
  const stride = Math.max(1, Math.ceil((open.length * days) / MOST_WALKS));
  return open.map((entrance) => {
    let paths: ForecastPath[] = [];
    const joins = Array.from({ length: days }, (_, place): Join => {
      const later = place % stride;
      const start = new Date((today + place) * DAY_MS);
      const from = place === 0 ? question.from : start;
      if (later === 0) paths = pathsOn(entrance, question, place === 0 ? from : noonOf(start));
      return { day: today + place, weight: 1 - (from.getTime() - start.getTime()) / DAY_MS, paths, later };
    });
    return { history: entrance.history, joins };
  });
}

function pathsOn(
  { version, sequence: key }: Entrance,
  question: PathQuestion,
  joinsAt: Date,
): ForecastPath[] {
  const sequence = question.funnels.versions.get(version)?.sequence;
  const first = sequence?.definition.first;
  if (sequence === undefined || first === undefined || first === null) return [];
  const timeZone = timeZoneOr(null, sequence.fallbackZone).zone;
  const nextAt = dueAt(sequence, first, { now: joinsAt, timeZone });
  if (nextAt === null || nextAt >= question.until) return [];
  return pathsFrom(question, {
    ...{
      version,
      sequence: key,
      stepKey: first,
      nextAt,
      waitUntil: null,
      timeZone: null,
      had: null,
      done: null,
      owns: null,
    },
  });
}

function noonOf(start: Date): Date {
  return new Date(start.getTime() + DAY_MS / 2);
}
