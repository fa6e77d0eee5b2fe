import { DateTime } from 'luxon';
import { isDate } from '../subscribers/field.js';

/** How a date with slashes or points is meant: `3/4/2024` is 3 April to most of the world, 4 March in America. */
export const DATE_ORDERS = ['dmy', 'mdy'] as const;
export type DateOrder = (typeof DATE_ORDERS)[number];

export type InstantRead = { ok: true; at: Date } | { ok: false; problem: string };

const ISO =
  /^\d{4}-\d{2}-\d{2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?\s*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})?$/i;
const PARTED =
  /^(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([ap]m)?)?\s*(?:UTC|GMT|Z)?$/i;

/** As nearly all exports write it. */
const PLAIN = /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})Z?$/;

/** An instant as exports write it, in UTC where no zone is named. A date alone is its first moment. */
export function readInstant(text: string, order: DateOrder | null): InstantRead {
  const trimmed = text.trim();
  const plain = readPlain(trimmed);
  if (plain !== null) return { ok: true, at: plain };
  if (ISO.test(trimmed)) {
    const day = trimmed.slice(0, 10);
    const [, clock = '00:00', zone = ''] = /^.{10}(?:[T ]([\d:.]+))?\s*(.*)$/.exec(trimmed) ?? [];
    const offset = /^(?:Z|UTC|GMT|)$/i.test(zone) ? 'Z' : zone.replace(/^(.\d{2}):?(\d{2})$/, '$1:$2');
    const at = new Date(`${day}T${clock.indexOf(':') === 1 ? '0' : ''}${clock}${offset}`);
    // JavaScript takes 30 February for 1 March.
    return isDate(day) && !Number.isNaN(at.getTime()) ? { ok: true, at } : bad(trimmed);
  }
  const parts = PARTED.exec(trimmed);
  return parts ? readParted(parts, order) : bad(trimmed);
}

/** Null for what is written otherwise, and for what may be no instant at all. */
function readPlain(text: string): Date | null {
  const parts = PLAIN.exec(text);
  if (!parts) return null;
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const [hour, minute, second] = [Number(parts[4]), Number(parts[5]), Number(parts[6])];
  // JavaScript takes the year 24 for 1924, the hour 24 for the next day, and 30 February for 1 March.
  if (year < 1000 || hour > 23 || minute > 59 || second > 59) return null;
  const at = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  return at.getUTCMonth() === month - 1 && at.getUTCDate() === day ? at : null;
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
