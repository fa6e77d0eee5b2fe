import { endOf } from './moment.js';
import { asksFirst, type PreparedSequence } from './prepared.js';
import { dueFrom, nextDueAt } from './schedule.js';

interface At {
  now: Date;
  timeZone: string;
}

/**
 * When somebody who comes to a step at `now` has their turn there: a step that asks something is asked at once, and one
 * that expires before its time holds nobody for longer.
 */
export function dueAt(sequence: PreparedSequence, key: string, { now, timeZone }: At): Date {
  const node = sequence.nodes.get(key);
  if (node && asksFirst(node)) return now;
  const due = dueFrom(sequence.timings.get(key) ?? {}, now, timeZone);
  const expiry = sequence.expiries.get(key);
  return expiry === undefined ? due : orExpiry(due, { expiresAt: endOf(expiry, timeZone), now });
}

/**
 * As `dueAt`, of somebody whose time there began at `since`, before `now`. Where the step's time would have come already: now,
 * or as soon as its hour, window, quiet hours and days allow.
 */
export function dueSince(
  sequence: PreparedSequence,
  key: string,
  { since, now, timeZone }: { since: Date } & At,
): Date {
  const due = dueAt(sequence, key, { now: since, timeZone });
  return due >= now ? due : withoutDelay(sequence, key, { now, timeZone });
}

/** Of a step whose delay is over. */
export function withoutDelay(sequence: PreparedSequence, key: string, { now, timeZone }: At): Date {
  const node = sequence.nodes.get(key);
  if (!node || asksFirst(node)) return now;
  const { at, window, quietHours, onDays } = sequence.timings.get(key) ?? {};
  return nextDueAt({ at, window, quietHours, onDays }, now, timeZone);
}

/** The step is over when it expires: then, or now where it has, people are led past it. */
export function orExpiry(due: Date, { expiresAt, now }: { expiresAt: Date | null; now: Date }): Date {
  if (expiresAt === null || expiresAt >= due) return due;
  return expiresAt > now ? expiresAt : now;
}
