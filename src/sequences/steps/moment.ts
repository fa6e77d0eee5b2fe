import { addToLocalDay, durationMs, isExact, type Duration } from '../../values/duration.js';
import { DomainError } from '../../values/domain-error.js';
import { instantOfLocalMs, localClockMs, startOfLocalDay } from '../../values/zoned-time.js';
import { DAY_MS } from '../../values/time-units.js';

/** A point in time as people write it: a day or a day and an hour on each reader's own clock, or one instant for all. */
export type Moment =
  | { readonly kind: 'day' | 'local'; readonly localMs: number }
  | { readonly kind: 'instant'; readonly ms: number };

const LOCAL = /^(\d{4})-(\d{2})-(\d{2})(?:[ T]([01]\d|2[0-3]):([0-5]\d))?$/;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;

/**
 * Reads `2026-12-24`, `2026-12-24 18:00` (the reader's clock) and `2026-12-24T18:00:00Z` (the same instant for all).
 * Throws `MOMENT_INVALID`.
 */
export function parseMoment(text: string): Moment {
  const match = LOCAL.exec(text);
  if (match) {
    const [, year, month, day, hour, minute] = match.map(Number) as [
      number,
      number,
      number,
      number,
      ...number[],
    ];
    const localMs = Date.UTC(year, month - 1, day, hour || 0, minute || 0);
    if (new Date(localMs).getUTCDate() === day && new Date(localMs).getUTCMonth() === month - 1)
      return { kind: match[4] === undefined ? 'day' : 'local', localMs };
  }
  if (INSTANT.test(text) && isDay(text.slice(0, 10)) && !Number.isNaN(Date.parse(text)))
    return { kind: 'instant', ms: Date.parse(text) };
  throw new DomainError(
    'MOMENT_INVALID',
    `"${text}" is not a date: write 2026-12-24 or "2026-12-24 18:00" for each reader's own clock, or 2026-12-24T18:00:00Z for one instant`,
    { value: text },
  );
}

/** When the moment comes for a reader in the zone: a day begins at its midnight. */
export function beginOf(moment: Moment, timeZone: string): Date {
  return new Date(moment.kind === 'instant' ? moment.ms : instantOfLocalMs(moment.localMs, timeZone));
}

/** When the moment is over for a reader in the zone: a day ends at the next midnight. */
export function endOf(moment: Moment, timeZone: string): Date {
  if (moment.kind !== 'day') return beginOf(moment, timeZone);
  return new Date(instantOfLocalMs(moment.localMs + DAY_MS, timeZone));
}

/**
 * The date in a field of a subscriber, moved by `offset` on their calendar; null when the field holds no date.
 * `sign`: 1 after the date, -1 before it.
 */
export function fieldMoment(
  value: unknown,
  { offset, sign }: { offset: Duration | null; sign: 1 | -1 },
  timeZone: string,
): Date | null {
  if (typeof value !== 'string') return null;
  let moment: Moment;
  try {
    moment = parseMoment(value.trim());
  } catch {
    return null;
  }
  const begin = beginOf(moment, timeZone);
  if (offset === null || offset.value === 0) return begin;
  if (isExact(offset)) return new Date(begin.getTime() + sign * durationMs(offset));
  const local = moment.kind === 'instant' ? localClockMs(moment.ms, timeZone) : moment.localMs;
  const day = startOfLocalDay(local);
  const moved = addToLocalDay(day, { value: sign * offset.value, unit: offset.unit }) + (local - day);
  return new Date(instantOfLocalMs(moved, timeZone));
}

function isDay(text: string): boolean {
  const at = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}
