import type { BroadcastOffer } from './broadcast-offer.js';
import { topicOf, type Broadcast, type BroadcastReport } from './broadcast.js';
import { DEFAULT_ALPHA } from '../experiments/test-options.js';
import { comparisonOf, decisionText, type ArmFigures } from './split-results.js';
import { armKey, wordsOf } from './split.js';

/** A broadcast as the API answers with it. */
export function toJson(
  broadcast: Broadcast,
  arms: readonly ArmFigures[] | null = null,
): Record<string, unknown> {
  const { id, key, title, template, subject, audience, sender, state, stateReason } = broadcast;
  const offer = broadcast.offer && offerJson(broadcast.offer);
  const { resendOf, resentBy, priority, rewordedAt } = broadcast;
  const { scheduledAt, expiresAt, startedAt, plannedAt, endedAt, createdAt } = broadcast;
  return {
    ...{ id, key, title, template, subject, offer, split: splitJson(broadcast, arms), audience, sender },
    ...{
      topic: topicOf(broadcast),
      priority,
      state,
      stateReason,
      scheduledAt,
      timing: timingJson(broadcast),
    },
    ...{ rewordedAt, resendOf, resentBy, expiresAt, startedAt, plannedAt, endedAt, createdAt },
  };
}

/** What is counted while its mails go, of all of them and of each arm of a test. */
const COUNTED = new Set(['counts', 'complete', 'estimate']);
const COUNTED_OF_ARM = new Set([
  ...['sent', 'clickers', 'revenue', 'unsubscribes', 'complaints', 'lift', 'pValue'],
]);

/** What of such an answer writes change. */
export function writtenOfBroadcast(answer: Record<string, unknown>): unknown {
  const words = without(answer, COUNTED);
  const { split } = words;
  if (typeof split !== 'object' || split === null || !('arms' in split)) return words;
  const arms = (split.arms as object[]).map((arm) => without(arm, COUNTED_OF_ARM));
  return { ...words, split: { ...split, arms, notCompared: null } };
}

function without(answer: object, names: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(answer).filter(([name]) => !names.has(name)));
}

export function reportJson(report: BroadcastReport): Record<string, unknown> {
  const { counts, complete, estimate, arms } = report;
  return { ...toJson(report, arms), counts, complete, estimate };
}

function timingJson({ timing, withoutZone, hourPassed }: Broadcast): Record<string, unknown> | null {
  if (timing === null) return null;
  const { atLocal = null, fallbackZone = null, ifPassed = null } = timing.local ?? {};
  const timezone = timing.local === null ? null : (timing.local.timezone ?? 'subscriber');
  return {
    atLocal,
    timezone,
    fallbackZone,
    ifPassed,
    spreadMinutes: timing.spreadMinutes,
    withoutZone,
    hourPassed,
  };
}

function offerJson({ key, discount, until }: BroadcastOffer): Record<string, unknown> {
  return { key, discount: discount ?? null, until: until ?? null };
}

function splitJson(
  broadcast: Broadcast,
  figures: readonly ArmFigures[] | null,
): Record<string, unknown> | null {
  const { split, decideAt, decision, stoppedArms: stopped } = broadcast;
  if (split === null) return null;
  const { testPercent, waitMinutes, judge, revenueCap = null, guardRails = null } = split;
  const { alpha = DEFAULT_ALPHA, holdout = null } = split;
  const compared = figures && comparisonOf({ split, figures, stopped }, decision);
  const arms = wordsOf(broadcast).map(({ at = null, delayMinutes = null, offer, ...words }, arm) => {
    const own = figures?.find((one) => one.arm === arm);
    const revenue =
      own && revenueCap ? { amountMinor: own.revenueMinor, currency: revenueCap.currency } : null;
    const { sent = null, clickers = null, unsubscribes = null, complaints = null } = own ?? {};
    const { lift = null, pValue = null } = compared?.results?.arms[arm] ?? {};
    const stop = stopped.find((one) => one.arm === arm);
    return {
      ...{ key: armKey(arm), ...words, offer: offer ? offerJson(offer) : null, at, delayMinutes },
      ...{ sent, clickers, revenue, unsubscribes, complaints },
      stopped: stop ? { rail: stop.rail, rate: stop.rate, limit: stop.limit, at: stop.at } : null,
      ...{ lift, pValue },
    };
  });
  return {
    ...{
      arms,
      notCompared: compared?.notCompared ?? null,
      testPercent,
      waitMinutes,
      judge,
      revenueCap,
      alpha,
      holdout,
    },
    guardRails: guardRails && {
      ...{ unsubscribes: guardRails.unsubscribes ?? null, complaints: guardRails.complaints ?? null },
    },
    decidesAt: decideAt,
    decision: decision && {
      ...{ ...decision, arm: armKey(decision.arm), text: decisionText(decision) },
      words: decision.words ?? null,
    },
  };
}
