import {
  AT_ONCE,
  clockOf,
  localMs,
  timingAt,
  type ArmTime,
  type BroadcastTiming,
  type LocalHour,
} from '../broadcasts/timing.js';
import { MINUTE_MS } from '../values/time-units.js';
import { instantOfLocalMs } from '../values/zoned-time.js';
import { instantText, rule, type Rule } from './explanation.js';

/** By what the mail of a broadcast is due. */
export interface BroadcastTimeFacts {
  scheduledAt: Date;
  /** Null: at once, for everybody. */
  timing: BroadcastTiming | null;
  /** When its arm of the split test goes; null: it is in none. */
  arm: ArmTime | null;
  /** The reader's; null: not known. */
  timeZone: string | null;
  dueAt: Date;
  /** Whether it is still due when it was planned for: not put off since. */
  isAsPlanned: boolean;
}

export function broadcastTimeRule(facts: BroadcastTimeFacts): Rule {
  const { scheduledAt, arm, timeZone } = facts;
  const given = facts.timing ?? AT_ONCE;
  const { local, spreadMinutes, delayMinutes = 0 } = timingAt(given, arm ?? undefined);
  const ofArm = 'of its arm of the split test';
  const parts = [
    ...(local === null
      ? [`The broadcast was set for ${instantText(scheduledAt)}`]
      : [`It goes at ${local.atLocal.replace('T', ' ')} ${clockText(local, timeZone)}`]),
    ...(local !== null && local.atLocal !== given.local?.atLocal ? [`the hour ${ofArm}`] : []),
    ...(delayMinutes > 0 ? [`with the delay of ${delayMinutes} minutes ${ofArm}`] : []),
    ...(spreadMinutes > 0
      ? [`at its place in ${spreadMinutes} minutes over which the mails are spread`]
      : []),
    ...(local !== null && facts.isAsPlanned ? passedText(local, facts, spreadMinutes + delayMinutes) : []),
  ];
  return rule('DUE_BY_SCHEDULE', 'passed', `${parts.join(', ')}.`, scheduledAt);
}

/** Of the clock by which its mail goes to this reader; left out: of none. */
export function zoneOfBroadcast({
  timing,
  timeZone,
}: Pick<BroadcastTimeFacts, 'timing' | 'timeZone'>): string | undefined {
  const local = timing?.local ?? null;
  return local === null ? undefined : clockOf(local, timeZone).zone;
}

function clockText(local: LocalHour, timeZone: string | null): string {
  const { zone, fellBack } = clockOf(local, timeZone);
  if (local.timezone !== undefined) return `by the clock of ${zone}, for all readers`;
  return fellBack
    ? `by the clock of ${zone}, as that of the reader is not known`
    : `on the reader's clock (${zone})`;
}

/** Why it is later than the hour; [] when it is not. */
function passedText(
  local: LocalHour,
  { timeZone, dueAt }: BroadcastTimeFacts,
  laterMinutes: number,
): string[] {
  const hour = instantOfLocalMs(localMs(local.atLocal), clockOf(local, timeZone).zone);
  if (dueAt.getTime() - hour <= (laterMinutes + 1) * MINUTE_MS) return [];
  const instead = local.ifPassed === 'send' ? 'and it went at once' : 'and the next day has that hour again';
  return [`which had passed when it was its turn, ${instead}`];
}
