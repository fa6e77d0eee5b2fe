import type { BroadcastReport, BroadcastResults } from '../broadcasts/broadcast.js';
import { armKey, decisionText, wordsOf } from '../broadcasts/split.js';
import { audienceText } from './broadcast-form.js';
import { durationText, timingText } from './broadcast-start-form.js';
import { broadcastView } from './broadcast-view.js';

export interface BroadcastDetail {
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
    mails: wordsOf(report).map(({ template }, arm) => ({
      template,
      subject: subjects[arm] ?? '',
      arm: split === null ? null : armKey(arm).toUpperCase(),
      place: arm,
    })),
    split: splitView(report),
    results: results === null ? null : resultsView(results),
    mayResend: through && resendOf === null && resentBy === null && (split === null || decision !== null),
  };
}

function estimateText({ estimate, state }: BroadcastReport): string | null {
  if (estimate === null || estimate.remaining === 0) return null;
  const left = `${estimate.remaining.toLocaleString('en')} ${estimate.remaining === 1 ? 'mail' : 'mails'} to go`;
  if (state === 'planning') return `${left} so far; more are being written`;
  return estimate.completesAt === null ? `${left}; nothing was sent lately that would tell how long` : left;
}

function resultsView(results: BroadcastResults): object[] {
  const { sent, opened, clicked, bounced, complained, left } = results;
  const ratio = (count: number): number | null => (sent === 0 ? null : count / sent);
  return [
    { label: 'Taken', count: sent, ratio: null },
    { label: 'Opened', count: opened, ratio: ratio(opened) },
    { label: 'Clicked', count: clicked, ratio: ratio(clicked) },
    { label: 'Bounced', count: bounced, ratio: ratio(bounced) },
    { label: 'Complained', count: complained, ratio: ratio(complained) },
    { label: 'Left since', count: left, ratio: ratio(left) },
  ];
}

function splitView({ split, arms, decision, decideAt, startedAt }: BroadcastReport): object | null {
  if (split === null) return null;
  const wait = durationText(split.waitMinutes);
  const judged =
    split.judge === 'clicks'
      ? 'readers with a click that a person made'
      : 'money per reader, each up to the cap';
  return {
    plan: `${split.testPercent} % of the audience try ${split.arms.length} arms; after ${wait} the rest gets the better one, by ${judged}. Without a winner it gets arm A.`,
    decision: decision === null ? null : decisionText(decision),
    won: decision?.verdict === 'winner',
    decidedAt: decision?.at ?? null,
    decidesAt: decision === null ? decideAt : null,
    waits: decision === null && decideAt === null && startedAt !== null,
    arms:
      arms?.map(({ arm, sent, clickers, revenueMinor }) => ({
        key: armKey(arm).toUpperCase(),
        ...{ sent, clickers },
        rate: sent === 0 ? null : clickers / sent,
        revenue: split.revenueCap ? { amountMinor: revenueMinor, currency: split.revenueCap.currency } : null,
        chosen: decision?.arm === arm,
      })) ?? [],
  };
}
