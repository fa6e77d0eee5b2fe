import { topicOf, type Broadcast, type BroadcastReport } from './broadcast.js';
import { armKey, decisionText, wordsOf, type ArmFigures } from './split.js';

/** A broadcast as the API answers with it. */
export function toJson(
  broadcast: Broadcast,
  arms: readonly ArmFigures[] | null = null,
): Record<string, unknown> {
  const { id, key, title, template, subject, audience, sender, state, stateReason } = broadcast;
  const { resendOf, resentBy, priority } = broadcast;
  const { scheduledAt, expiresAt, startedAt, plannedAt, endedAt, createdAt } = broadcast;
  return {
    ...{ id, key, title, template, subject, split: splitJson(broadcast, arms), audience, sender },
    ...{
      topic: topicOf(broadcast),
      priority,
      state,
      stateReason,
      scheduledAt,
      timing: timingJson(broadcast),
    },
    ...{ resendOf, resentBy, expiresAt, startedAt, plannedAt, endedAt, createdAt },
  };
}

export function reportJson(report: BroadcastReport): Record<string, unknown> {
  const { counts, complete, estimate, arms } = report;
  return { ...toJson(report, arms), counts, complete, estimate };
}

function timingJson({ timing, withoutZone, hourPassed }: Broadcast): Record<string, unknown> | null {
  if (timing === null) return null;
  const { atLocal = null, fallbackZone = null, ifPassed = null } = timing.local ?? {};
  return { atLocal, fallbackZone, ifPassed, spreadMinutes: timing.spreadMinutes, withoutZone, hourPassed };
}

function splitJson(
  broadcast: Broadcast,
  figures: readonly ArmFigures[] | null,
): Record<string, unknown> | null {
  const { split, decideAt, decision } = broadcast;
  if (split === null) return null;
  const { testPercent, waitMinutes, judge, revenueCap = null } = split;
  const arms = wordsOf(broadcast).map((words, arm) => {
    const own = figures?.find((one) => one.arm === arm);
    const revenue =
      own && revenueCap ? { amountMinor: own.revenueMinor, currency: revenueCap.currency } : null;
    const [sent, clickers] = [own?.sent ?? null, own?.clickers ?? null];
    return { key: armKey(arm), ...words, sent, clickers, revenue };
  });
  return {
    ...{ arms, testPercent, waitMinutes, judge, revenueCap, decidesAt: decideAt },
    decision: decision && { ...decision, arm: armKey(decision.arm), text: decisionText(decision) },
  };
}
