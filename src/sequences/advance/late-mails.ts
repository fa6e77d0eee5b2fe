import { addDuration, durationMs, type Duration } from '../../values/duration.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { watchedSteps } from '../steps/condition.js';
import type { PreparedSequence } from '../steps/prepared.js';
import type { BatchPlan } from './batch-plan.js';
import type { DueGroup } from './due-group.js';

/** A mail that went so much of the wait behind its time left its reader the time that was meant. */
const NO_MATTER = 0.1;

/** Somebody whose wait for a mail to be opened or clicked is over, with nothing of it. */
export interface EndedWait {
  id: string;
  within: Duration;
  timeZone: string;
}

/** Those of a planned batch who would go the way of `else` as their time is over. Costs nothing where nobody waits. */
export function endedWaits(
  due: readonly DueGroup[],
  versions: ReadonlyMap<string, { sequence: PreparedSequence }>,
  { decisions }: Pick<BatchPlan, 'decisions'>,
): EndedWait[] {
  const over = due.flatMap((group) => {
    const sequence = versions.get(group.versionId)?.sequence;
    const within = group.wait === 'over' && sequence ? watchedFor(sequence, group.stepKey) : null;
    if (sequence === undefined || within === null) return [];
    const timeZone = timeZoneOr(group.timeZone, sequence.fallbackZone).zone;
    return group.people.ids.map((id) => ({ id, stepKey: group.stepKey, within, timeZone }));
  });
  if (over.length === 0) return [];
  const without = new Set(
    decisions.flatMap(({ enrollmentId, stepKey, outcome }) =>
      outcome === 'else' ? [`${enrollmentId} ${stepKey}`] : [],
    ),
  );
  return over
    .filter(({ id, stepKey }) => without.has(`${id} ${stepKey}`))
    .map(({ id, within, timeZone }) => ({ id, within, timeZone }));
}

/** Null of a step that waits for no mail. */
function watchedFor({ nodes }: PreparedSequence, stepKey: string): Duration | null {
  const node = nodes.get(stepKey);
  if (node?.kind === 'branch') return node.within;
  if (node?.kind !== 'choice' || watchedSteps(node.cases.map(({ when }) => when)).length === 0) return null;
  return node.within;
}

/**
 * Until when somebody waits whose mail has not gone yet, or went late: so long as is said, from when it went. Null when that
 * is over. `wentAt`: of the last mail that is waited for; the present for one that may go still, which is then looked at again.
 */
export function waitsLonger(
  { within, timeZone }: Pick<EndedWait, 'within' | 'timeZone'>,
  { waitUntil, wentAt }: { waitUntil: Date; wentAt: Date },
  now: Date,
): Date | null {
  const until = addDuration(wentAt, within, timeZone);
  const isLate = until.getTime() - waitUntil.getTime() > NO_MATTER * durationMs(within);
  return isLate && until > now ? until : null;
}
