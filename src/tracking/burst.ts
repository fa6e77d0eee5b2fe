import { classifyHit, type Hit, type HitVerdict, mayBeBurst } from './hit-class.js';

/**
 * What a single hit cannot show. A gateway that checks a mail looks like a browser in every header; but it asks for
 * several different links of one mail faster than anybody reads. So a click counts as a person's only once the moment
 * has passed in which the rest of a burst would have come.
 */
export const SETTLE_MS = 4_000;
/** Hits further apart than this do not judge each other. */
export const LOOK_AROUND_MS = 10_000;

/** So many different links of one mail, so close together. The last row comes after the wait: it corrects, late. */
const BURSTS: readonly { links: number; withinMs: number }[] = [
  { links: 2, withinMs: 1_000 },
  { links: 3, withinMs: SETTLE_MS },
  { links: 5, withinMs: LOOK_AROUND_MS },
];
/** One client, so many mails, each soon after its acceptance: the mails of a whole company being checked. */
const MAILS_AT_ONCE = 3;
export const CHECKED_AT_DELIVERY_MS = 120_000;

export const WAITING: HitVerdict = {
  class: 'unknown',
  reason: 'a moment to see whether more links are asked for',
};
const ALL_LINKS: HitVerdict = { class: 'scanner', reason: 'several links of the mail at once' };
const SAME_CLIENT: HitVerdict = { class: 'scanner', reason: 'the same client asked as a machine' };
export const SEVERAL_MAILS: HitVerdict = { class: 'scanner', reason: 'links of several mails at once' };

export interface MailHit extends Hit {
  kind: 'open' | 'click';
  id: string;
  messageId: string;
  linkId: string | null;
  /** Equal for hits of one address and one user agent on one day. */
  client: string;
}

/** Judges the hits of ONE mail together, in any order. The answer has every hit's id. */
export function judgeMailHits(hits: readonly MailHit[]): Map<string, HitVerdict> {
  const own = hits
    .map((hit) => ({ hit, verdict: classifyHit(hit), ms: hit.at.getTime() }))
    .toSorted((a, b) => a.ms - b.ms);
  const suspects = own.flatMap(({ hit, verdict }) =>
    mayBeBurst(hit) && hit.linkId !== null && !isMachine(verdict) ? [hit] : [],
  );
  const inBurst = new Set(
    BURSTS.flatMap(({ links, withinMs }) =>
      crowded(suspects, { least: links, withinMs, keyOf: ({ linkId }) => linkId ?? '' }),
    ),
  );
  const machineTimes = new Map<string, number[]>();
  for (const { hit, verdict, ms } of own) {
    if (verdict.class !== 'scanner' && !inBurst.has(hit.id)) continue;
    const times = machineTimes.get(hit.client);
    if (times) times.push(ms);
    else machineTimes.set(hit.client, [ms]);
  }
  return new Map(
    own.map(({ hit, verdict, ms }) => {
      if (isMachine(verdict)) return [hit.id, verdict];
      if (inBurst.has(hit.id)) return [hit.id, ALL_LINKS];
      const beside = distance(machineTimes.get(hit.client) ?? [], ms) <= LOOK_AROUND_MS;
      return [hit.id, beside && mayBeJudgedBeside(hit) ? SAME_CLIENT : verdict];
    }),
  );
}

/** Of hits that wait: the ids of clients that ask for links of several mails while these are being delivered. */
export function severalMails(hits: readonly MailHit[]): Set<string> {
  const byClient = new Map<string, MailHit[]>();
  for (const hit of hits.filter((each) => atDelivery(each) && mayBeBurst(each))) {
    const group = byClient.get(hit.client);
    if (group) group.push(hit);
    else byClient.set(hit.client, [hit]);
  }
  const rule = { least: MAILS_AT_ONCE, withinMs: SETTLE_MS, keyOf: ({ messageId }: MailHit) => messageId };
  return new Set(
    [...byClient.values()].flatMap((group) =>
      crowded(
        group.toSorted((a, b) => a.at.getTime() - b.at.getTime()),
        rule,
      ),
    ),
  );
}

/** In groups by time, each no longer than `LOOK_AROUND_MS`, earliest first. */
export function closeTogether<T extends { at: Date }>(hits: readonly T[]): T[][] {
  const groups: T[][] = [];
  for (const hit of hits.toSorted((a, b) => a.at.getTime() - b.at.getTime())) {
    const group = groups.at(-1);
    const first = group?.[0];
    if (group && first && hit.at.getTime() - first.at.getTime() <= LOOK_AROUND_MS) group.push(hit);
    else groups.push([hit]);
  }
  return groups;
}

function atDelivery({ at, acceptedAt }: MailHit): boolean {
  return acceptedAt !== null && at.getTime() - acceptedAt.getTime() <= CHECKED_AT_DELIVERY_MS;
}

function isMachine(verdict: HitVerdict): boolean {
  return verdict.class === 'scanner' || verdict.class === 'proxy';
}

/** An open that a scanner made on its way through the mail is no reader's either. */
function mayBeJudgedBeside(hit: MailHit): boolean {
  return mayBeBurst(hit) || (hit.kind === 'open' && !hit.local);
}

/**
 * Ids of the hits that lie in some window of `withinMs` with at least `least` different keys. One pass over the sorted
 * hits: somebody may ask for one link a hundred thousand times.
 */
function crowded(
  sorted: readonly MailHit[],
  { least, withinMs, keyOf }: { least: number; withinMs: number; keyOf: (hit: MailHit) => string },
): string[] {
  const counts = new Map<string, number>();
  const found: string[] = [];
  let [left, marked] = [0, 0];
  for (const [right, hit] of sorted.entries()) {
    counts.set(keyOf(hit), (counts.get(keyOf(hit)) ?? 0) + 1);
    for (let first = sorted[left]; first && hit.at.getTime() - first.at.getTime() > withinMs;) {
      const count = counts.get(keyOf(first)) ?? 0;
      if (count > 1) counts.set(keyOf(first), count - 1);
      else counts.delete(keyOf(first));
      first = sorted[++left];
    }
    if (counts.size < least) continue;
    for (let at = Math.max(left, marked); at <= right; at++) found.push(sorted[at]?.id ?? '');
    marked = right + 1;
  }
  return found;
}

/** Milliseconds from `ms` to the nearest of the sorted times; infinite when there is none. */
function distance(sortedMs: readonly number[], ms: number): number {
  let [low, high] = [0, sortedMs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sortedMs[middle] ?? 0) < ms) low = middle + 1;
    else high = middle;
  }
  return Math.min(
    Math.abs((sortedMs[low] ?? Infinity) - ms),
    Math.abs((sortedMs[low - 1] ?? -Infinity) - ms),
  );
}
