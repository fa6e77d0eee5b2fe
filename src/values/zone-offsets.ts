import { IANAZone } from 'luxon';
import { DomainError } from './domain-error.js';
import { MINUTE_MS, DAY_MS } from './time-units.js';

/** Blocks kept per zone before its table is dropped: about ten years of days, some 200 kB. */
const MAX_BLOCKS = 4_000;
/** More than the names Intl knows; only differing letter case can reach it. */
const MAX_TABLES = 1_000;

/** One UTC day of a zone: the offset is `before` until the instant `changesAt`, then `after`. */
interface OffsetDay {
  readonly changesAt: number;
  readonly before: number;
  readonly after: number;
}

/**
 * UTC offsets of one zone in milliseconds (positive east of Greenwich), remembered a UTC day at a time. Asking Intl
 * costs microseconds and scheduling a list asks the same few days a million times.
 *
 * A day is taken to hold at most one change, which is true of every zone in the IANA data.
 */
class ZoneOffsets {
  private readonly days = new Map<number, OffsetDay>();

  constructor(private readonly zone: IANAZone) {}

  /** Local clock minus UTC at an instant (epoch milliseconds). */
  at(instant: number): number {
    const day = this.day(Math.floor(instant / DAY_MS));
    return instant < day.changesAt ? day.before : day.after;
  }

  /** The first instant in (`after`, `until`] at which the clocks of the zone change, or null. */
  nextChange(after: number, until: number): number | null {
    const last = Math.floor(until / DAY_MS);
    for (let index = Math.floor(after / DAY_MS); index <= last; index += 1) {
      const { changesAt } = this.day(index);
      if (changesAt > after && changesAt <= until) return changesAt;
    }
    return null;
  }

  private day(index: number): OffsetDay {
    const known = this.days.get(index);
    if (known) return known;
    const day = this.measure(index * DAY_MS - 1, (index + 1) * DAY_MS - 1);
    if (this.days.size >= MAX_BLOCKS) this.days.clear();
    this.days.set(index, day);
    return day;
  }

  private measure(from: number, to: number): OffsetDay {
    const before = this.ask(from);
    const after = this.ask(to);
    if (before === after) return { changesAt: Number.POSITIVE_INFINITY, before, after };
    let [low, high] = [from, to];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.ask(middle) === before) low = middle;
      else high = middle;
    }
    return { changesAt: high, before, after };
  }

  private ask(instant: number): number {
    return Math.round(this.zone.offset(instant) * MINUTE_MS);
  }
}

const tables = new Map<string, ZoneOffsets>();

/** The offsets of an IANA zone. Throws `TIME_ZONE_INVALID` for a name Intl does not know. */
export function zoneOffsets(timeZone: string): ZoneOffsets {
  const known = tables.get(timeZone);
  if (known) return known;
  const zone = IANAZone.create(timeZone);
  if (!zone.isValid) {
    throw new DomainError(
      'TIME_ZONE_INVALID',
      `"${timeZone}" is not a time zone: use an IANA name such as Europe/Berlin or UTC`,
      { timeZone },
    );
  }
  const table = new ZoneOffsets(zone);
  if (tables.size >= MAX_TABLES) tables.clear();
  tables.set(timeZone, table);
  return table;
}
