import { instantOfLocalMs, localClockMs } from '../../values/zoned-time.js';
import { orExpiry } from '../steps/due-at.js';
import { endOf } from '../steps/moment.js';
import { isMail } from '../steps/definition.js';
import type { PreparedSequence } from '../steps/prepared.js';
import { nextDueAt } from '../steps/schedule.js';

/** The test of a step whose arms differ in when they come, where it says when people wait there; null for any other step. */
export function timedTest(sequence: PreparedSequence, key: string): string | null {
  const node = sequence.nodes.get(key);
  if (node === undefined || !isMail(node) || node.untilField !== undefined) return null;
  return node.split?.terms.isTimed === true ? node.split.experiment : null;
}

/**
 * When a step that waits for a local time comes up for somebody whose time zone has changed meanwhile: at the same time on
 * their new clock, or at its next slot where that has passed. Null where the step waits for no local time: hours and days
 * that it only has to wait are as long on every clock, and hours in which it may run are looked at when it comes up.
 * `arm`: theirs, where the step has a test of times.
 */
export function dueInNewZone(
  sequence: PreparedSequence,
  key: string,
  {
    nextAt,
    now,
    before,
    after,
    arm,
  }: { nextAt: Date; now: Date; before: string; after: string; arm: string | null },
): Date | null {
  const ofArm = arm === null ? undefined : sequence.arms.get(key)?.get(arm)?.timing;
  const timing = ofArm ?? sequence.timings.get(key);
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
