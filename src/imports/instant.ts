import { DateTime } from 'luxon';
import { isDate } from '../subscribers/field.js';

/** How a date with slashes or points is meant: `3/4/2024` is 3 April to most of the world, 4 March in America. */
export const DATE_ORDERS = ['dmy', 'mdy'] as const;
export type DateOrder = (typeof DATE_ORDERS)[number];

type InstantRead = { ok: true; at: Date } | { ok: false; problem: string };

const ISO =
  /^\d{4}-\d{2}-\d{2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?\s{0,9}(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})?$/i;
const PARTED =
  /^(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2}))?\s{0,9}([ap]m)?)?\s{0,9}(?:UTC|GMT|Z)?$/i;

/** An instant as exports write it, in UTC where no zone is named. A date alone is its first moment. */
export function readInstant(text: string, order: DateOrder | null): InstantRead {
  const trimmed = text.trim();
  const plain = readPlain(trimmed);
  if (plain !== null) return { ok: true, at: plain };
  if (ISO.test(trimmed)) {
    const day = trimmed.slice(0, 10);
    const [, clock = '00:00', zone = ''] = /^.{10}(?:[T ]([\d:.]{1,20}))?\s{0,9}(.*)/s.exec(trimmed) ?? [];
    const offset = /^(?:Z|UTC|GMT|)$/i.test(zone) ? 'Z' : zone.replace(/^(.\d{2}):?(\d{2})$/, '$1:$2');
    const at = new Date(`${day}T${clock.indexOf(':') === 1 ? '0' : ''}${clock}${offset}`);
    // JavaScript takes 30 February for 1 March.
    return isDate(day) && !Number.isNaN(at.getTime()) ? { ok: true, at } : bad(trimmed);
  }
  const parts = PARTED.exec(trimmed);
  return parts ? readParted(parts, order) : bad(trimmed);
}

/**
 * `2024-01-31 09:05:06`, as nearly all exports write it, or with T and Z. Null for what is written otherwise, and for what
 * may be no instant at all. Character by character: a regular expression took three times as long.
 */
function readPlain(text: string): Date | null {
  if (text.length !== 19 && !(text.length === 20 && text[19] === 'Z')) return null;
  if (text[4] !== '-' || text[7] !== '-' || text[13] !== ':' || text[16] !== ':') return null;
  if (text[10] !== ' ' && text[10] !== 'T') return null;
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const [month, day] = [twoDigits(text, 5), twoDigits(text, 8)];
  const [hour, minute, second] = [twoDigits(text, 11), twoDigits(text, 14), twoDigits(text, 17)];
  // JavaScript takes the year 24 for 1924, the hour 24 for the next day, and 30 February for 1 March. NaN is in no range.
  if (!(year >= 1000 && hour <= 23 && minute <= 59 && second <= 59)) return null;
  const at = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  return at.getUTCMonth() === month - 1 && at.getUTCDate() === day ? at : null;
}

/** NaN for anything else. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 48;
  const ones = text.charCodeAt(at + 1) - 48;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

function readParted(parts: RegExpExecArray, order: DateOrder | null): InstantRead {
  const [text, first = '', second = '', year = '', hour = '0', minute = '0', rest = '0', half = ''] = parts;
  const [a, b] = [Number(first), Number(second)];
  const dayFirst =
    order === null ? (a > 12 ? true : b > 12 ? false : a === b ? true : null) : order === 'dmy';
  if (dayFirst === null)
    return { ok: false, problem: `"${text}" may be two dates: say dateOrder, dmy or mdy` };
  const clock = Number(hour);
  if (half !== '' && (clock < 1 || clock > 12)) return bad(text);
  const read = DateTime.fromObject(
    {
      year: Number(year) + (year.length === 2 ? 2000 : 0),
      month: dayFirst ? b : a,
      day: dayFirst ? a : b,
      hour: half === '' ? clock : (clock % 12) + (half.toLowerCase() === 'pm' ? 12 : 0),
      minute: Number(minute),
      second: Number(rest),
    },
    { zone: 'utc' },
  );
  return read.isValid ? { ok: true, at: read.toJSDate() } : bad(text);
}

function bad(text: string): InstantRead {
  return { ok: false, problem: `"${text.slice(0, 40)}" is no date and time such as 2026-01-31 09:30` };
}
