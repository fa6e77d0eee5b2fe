import { instantOfLocalMs, localClockMs } from '../values/zoned-time.js';
import { orExpiry } from './due-at.js';
import { endOf } from './moment.js';
import type { PreparedSequence } from './prepared.js';
import { nextDueAt } from './schedule.js';

/**
 * When a step that waits for a local time comes up for somebody whose time zone has changed meanwhile: at the same time on
 * their new clock, or at its next slot where that has passed. Null where the step waits for no local time: hours and days
 * that it only has to wait are as long on every clock, and hours in which it may run are looked at when it comes up.
 */
export function dueInNewZone(
  sequence: PreparedSequence,
  key: string,
  { nextAt, now, before, after }: { nextAt: Date; now: Date; before: string; after: string },
): Date | null {
  const timing = sequence.timings.get(key);
  if (timing === undefined || before === after) return null;
  const { at, until, onDays, window, quietHours } = timing;
  const isLocal = at !== undefined || (until !== undefined && until.kind !== 'instant');
  if (!isLocal) return null;
  const sameClock = instantOfLocalMs(localClockMs(nextAt.getTime(), before), after);
  const from = new Date(Math.max(sameClock, now.getTime()));
  const due = nextDueAt({ at, onDays, window, quietHours }, from, after);
  const expiry = sequence.expiries.get(key);
  return expiry === undefined ? due : orExpiry(due, { expiresAt: endOf(expiry, after), now });
}
