import type { Reentry } from '../steps/definition.js';
import { DAY_MS } from '../../values/time-units.js';

/** What somebody's earlier times in a sequence come to; null for who has never been in it. */
export interface EarlierTimes {
  /** How often they have joined. */
  count: number;
  isIn: boolean;
  lastStartedAt: Date;
  /** When the last of them ended, or began when it has not. */
  lastAt: Date;
  /** Whether the event that would begin this one has begun one before. */
  sameEntry: boolean;
}

/** A step that leads back, through whatever sequences, would otherwise take people round for ever. */
const STEP_LEADS_BACK_AFTER_MS = 3_600_000;

/**
 * Whether somebody may join a sequence, or join it again. `entryKey` names the event that it begins with; `byStep`: a
 * step of some sequence made them come, by moving them or by a change that begins this one.
 */
export function mayJoin(
  reentry: Reentry | undefined,
  earlier: EarlierTimes | null,
  { now, entryKey, byStep }: { now: Date; entryKey?: string | undefined; byStep: boolean },
): boolean {
  if (earlier === null) return true;
  // What has begun it once does not begin it again, however often it is looked at.
  if (earlier.sameEntry) return false;
  if (reentry === undefined) return false;
  if (reentry.mode === 'event') return entryKey !== undefined;
  const restMs = byStep ? STEP_LEADS_BACK_AFTER_MS : 0;
  if (earlier.isIn || earlier.lastStartedAt.getTime() > now.getTime() - restMs) return false;
  // `now` is in the past for what is told late: what happened while they were in it does not begin it once more.
  const days = reentry.mode === 'always' ? 0 : reentry.days;
  return earlier.lastAt.getTime() <= now.getTime() - days * DAY_MS;
}
