import type { BroadcastOffer } from '../../broadcasts/broadcast-offer.js';
import type { BroadcastReport, BroadcastResults } from '../../broadcasts/broadcast.js';
import type { HoldoutGroup, HoldoutResults } from '../../broadcasts/holdout.js';
import { mailsOf } from '../../broadcasts/rewording.js';
import { armKey, hasHours, isTimed, REST, type Split } from '../../broadcasts/split.js';
import { comparisonOf, decisionText, type StoppedArm } from '../../broadcasts/split-results.js';
import { breachText } from '../../experiments/guard-rails.js';
import type { ArmResult } from '../../experiments/results.js';
import { DEFAULT_ALPHA } from '../../experiments/test-options.js';
import { liftText, pValueText } from '../experiments/experiment-view.js';
import { audienceText } from './broadcast-form.js';
import { minutesText, timingText } from './broadcast-start-form.js';
import { broadcastView } from './broadcast-view.js';

interface BroadcastDetail {
  report: BroadcastReport;
  /** Subjects of the arms, or of the one mail, as their readers see them. */
  subjects: readonly string[];
  /** How many would get it now; null once it has begun. */
  size: number | null;
  /** Null before it has begun. */
  results: BroadcastResults | null;
}

/** What the page of one broadcast prints. */
export function broadcastDetail({
  report,
  subjects,
  size,
  results,
}: BroadcastDetail): Record<string, unknown> {
  const { audience, sender, resendOf, resentBy, state, split, plannedAt, decision } = report;
  const through = plannedAt !== null && (state === 'running' || state === 'done');
  return {
    ...{ broadcast: broadcastView(report), isDraft: state === 'draft', size, resendOf, resentBy },
    audience: audienceText(audience),
    from: `${sender.name} <${sender.email}>`,
    timing: timingText(report),
    estimate: estimateText(report),
    completesAt: report.estimate?.completesAt ?? null,
    offer: offerText(report.offer),
    mails: mailsOf(report).map(({ template, ...words }, arm) => ({
      ...{ template, at: timeOf(words), subject: subjects[arm] ?? '', place: arm },
      ...nameOf(split, arm),
    })),
    split: splitView(report),
    mayReword: mayReword(report),
    testKeepsWords: state === 'paused' && !mayReword(report),
    rewordedAt: report.rewordedAt,
    words: results?.words ?? null,
    results: results === null ? null : resultsView(results),
    orders: results === null ? null : ordersView(results),
    holdout: results?.holdout ? holdoutView(results.holdout) : null,
    mayResend: through && resendOf === null && resentBy === null && (split === null || decision !== null),
  };
}

/** What the page calls the mail at that place, and the key by which it is asked for. */
function nameOf(split: Split | null, place: number): { arm: string | null; letter: string } {
  if (split === null) return { arm: null, letter: armKey(place) };
  if (place >= split.arms.length) return { arm: 'The rest', letter: REST };
  return { arm: armKey(place).toUpperCase(), letter: armKey(place) };
}

/** Whether the words of what is still to go may be changed: not while a split test compares them. */
export function mayReword({ state, split, startedAt, decision }: BroadcastReport): boolean {
  return state === 'paused' && (split === null || startedAt === null || decision !== null);
}

/** Mails that are written and have not gone. */
export function waitingOf({ counts }: BroadcastReport): number {
  return (counts['ready'] ?? 0) + (counts['held'] ?? 0);
}

/** What lets none of them go, by `limitedBy`. */
const STOPS: Readonly<Record<string, string>> = {
  ledger: 'none goes until you confirm the ledger on the page Sending',
  leavings: 'none goes while a process says nothing that may know of leavings, see the page Sending',
  signing: 'some wait for a DKIM key that is missing or bad',
};

function estimateText({ estimate }: BroadcastReport): string | null {
  if (estimate === null || estimate.remaining === 0) return null;
  const { remaining, unwritten, waitsForTest } = estimate;
  const parts = [
    `${remaining.toLocaleString('en')} ${remaining === 1 ? 'mail' : 'mails'} to go`,
    ...(unwritten === 0 ? [] : [`${unwritten.toLocaleString('en')} of them still to be written`]),
    ...(waitsForTest === 0 ? [] : [`${waitsForTest.toLocaleString('en')} of them wait for the test`]),
  ];
  const left = parts.join(', ');
  if (estimate.completesAt !== null) return left;
  return `${left}; ${STOPS[estimate.limitedBy ?? ''] ?? 'nothing was sent lately that would tell how long'}`;
}

function resultsView(results: BroadcastResults): object[] {
  const { sent, tried, opened, clicked, bounced, complained, left } = results;
  const ratio = (count: number, of = sent): number | null => (of === 0 ? null : count / of);
  return [
    { label: 'Taken', count: sent, ratio: null },
    { label: 'Opened', count: opened, ratio: ratio(opened) },
    { label: 'Clicked', count: clicked, ratio: ratio(clicked) },
    { label: 'Bounced', count: bounced, ratio: ratio(bounced, tried) },
    { label: 'Complained', count: complained, ratio: ratio(complained) },
    { label: 'Left since', count: left, ratio: ratio(left) },
  ];
}

/** What came by links in its mails; null: nothing. */
function ordersView({ orders, revenue, ordersOfArms }: BroadcastResults): object | null {
  if (orders === 0) return null;
  const arms = ordersOfArms.map(({ arm, ...own }) => ({
    ...{ key: arm === null ? 'The rest' : `Arm ${armKey(arm).toUpperCase()}`, ...own },
  }));
  return { orders, revenue, arms };
}

/** What the mail is worth beside none at all. */
function holdoutView({ mailed, heldOut, lift, until }: HoldoutResults): object {
  const row = (name: string, { people, buyers, revenue }: HoldoutGroup): object => ({
    ...{ name, people, buyers, revenue },
    perPerson: revenue.map(({ currency, perPersonMinor }) => ({
      ...{ currency, amountMinor: Math.round(perPersonMinor) },
    })),
  });
  return {
    rows: [row('Mailed', mailed), row('Held out', heldOut)],
    lift: liftText(lift),
    // Nothing is shown while 1 lies between the ends.
    isShown: lift.low > 1 || (lift.high !== null && lift.high < 1),
    until,
  };
}

function splitView(report: BroadcastReport): object | null {
  const { split, arms, decision, decideAt, startedAt, stoppedArms: stopped } = report;
  if (split === null) return null;
  const compared = arms && comparisonOf({ split, figures: arms, stopped }, decision);
  return {
    ...{ plan: planText(split), rules: rulesText(split), stops: stopped.map(stopText) },
    decision: decision === null ? null : decisionText(decision),
    won: decision?.verdict === 'winner',
    decidedAt: decision?.at ?? null,
    decidesAt: decision === null ? decideAt : null,
    waits: decision === null && decideAt === null && startedAt !== null,
    hours: hasHours(split),
    warning: compared?.results?.sampleRatio.mismatch === true,
    notCompared: compared?.notCompared ?? null,
    arms:
      arms?.map(({ arm, sent, clickers, revenueMinor, unsubscribes, complaints }) => ({
        ...{ key: armKey(arm).toUpperCase(), at: timeOf(split.arms[arm]), sent, clickers },
        offer: offerText(split.arms[arm]?.offer),
        rate: sent === 0 ? null : clickers / sent,
        revenue: split.revenueCap ? { amountMinor: revenueMinor, currency: split.revenueCap.currency } : null,
        harm: `${unsubscribes} / ${complaints}`,
        ...comparedText(compared?.results?.arms[arm]),
        chosen: decision?.arm === arm,
        stopped: stopped.some((one) => one.arm === arm),
      })) ?? [],
  };
}

/** When an arm goes that has a time of its own. */
function timeOf(
  arm: { at?: string | undefined; delayMinutes?: number | undefined } | undefined,
): string | null {
  return arm?.delayMinutes === undefined ? (arm?.at ?? null) : `${minutesText(arm.delayMinutes)} later`;
}

/** What is offered, in words. */
function offerText(offer: BroadcastOffer | null | undefined): string | null {
  if (!offer) return null;
  const { key, discount, until } = offer;
  return [
    key,
    ...(discount === undefined ? [] : [`${discount} off`]),
    ...(until === undefined ? [] : [`until ${until}`]),
  ].join(', ');
}

/** Empty for the first arm, and for one that is stopped: it is compared with none. */
function comparedText(result: ArmResult | undefined): { lift: string; pValue: string } {
  if (result === undefined || result.isStopped) return { lift: '', pValue: '' };
  return { lift: result.lift ? liftText(result.lift) : '', pValue: pValueText(result.pValue) };
}

function planText(split: Split): string {
  const { testPercent, arms, waitMinutes, judge, holdout } = split;
  const judged =
    judge === 'clicks' ? 'readers with a click that a person made' : 'money per reader, each up to the cap';
  const heldOut = holdout === undefined ? '' : ` ${holdout} are held out and get nothing.`;
  return `${testPercent} % of the audience try ${arms.length} arms; after ${minutesText(waitMinutes)} the rest gets the better one, by ${judged}. Without a winner it gets arm A.${heldOut}`;
}

/** What the owner has asked for beyond the usual. */
function rulesText({ alpha = DEFAULT_ALPHA, guardRails, ...split }: Split): string {
  const { unsubscribes, complaints } = guardRails ?? {};
  const limits = [
    ...(unsubscribes === undefined ? [] : [`more than ${unsubscribes} leave`]),
    ...(complaints === undefined ? [] : [`more than ${complaints} complain`]),
  ];
  return [
    `The chance of a false winner is ${alpha} at most, however often you look.`,
    ...(limits.length === 0 ? [] : [`An arm is stopped when it is shown that ${limits.join(' or ')}.`]),
    ...(isTimed(split) ? ['Each reader’s clicks and orders count for that time from their mail on.'] : []),
  ].join(' ');
}

function stopText({ arm, at, ...breach }: StoppedArm): { text: string; at: string } {
  const text = `Arm ${armKey(arm).toUpperCase()} ${breachText(breach)} Who had not got its mail by then gets that of another arm.`;
  return { text, at };
}
