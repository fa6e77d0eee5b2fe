import { OVERDUE, RESTORED } from '../../delivery/message/overdue.js';
import { limitName } from '../../delivery/pacing/limit-name.js';
import { UNFIT_REASONS } from '../../delivery/message/state-reasons.js';
import { DEFAULT_LANES } from '../../delivery/relays/relay-choice.js';
import { replyWords } from '../../delivery/replies/reply-words.js';
import { refusedFor } from '../../delivery/replies/sender-refusal.js';
import type { SendingState } from '../../delivery/pacing/sending.schemas.js';

/** Why nothing goes, of an estimate without a time; null: nothing stands in the way. */
export function stopWords(limitedBy: string | null, { relays }: Pick<SendingState, 'relays'>): string | null {
  if (limitedBy === 'ledger') return 'the ledger waits for your confirmation';
  if (limitedBy === 'leavings') return 'mails of lists wait for a process that says nothing';
  if (limitedBy === 'signing') return 'some of them wait for a DKIM key that is missing or bad';
  return limitedBy === 'relay' && noneWorks(relays) ? 'no mail relay works' : null;
}

const noneWorks = (relays: SendingState['relays']): boolean =>
  relays.every(({ state }) => state === 'open' || state === 'half_open');

/** `12 a second`, `6 a minute`, `1 an hour`: whichever is a number people can picture. */
export function paceWords(perSecond: number | null): string | null {
  if (perSecond === null) return null;
  const [count, unit] =
    perSecond >= 1
      ? [perSecond, 'a second']
      : perSecond * 60 >= 1
        ? [perSecond * 60, 'a minute']
        : [perSecond * 3600, 'an hour'];
  return `${count >= 10 ? Math.round(count) : Math.round(count * 10) / 10} ${unit}`;
}

const RELAY_STATES = {
  untried: 'not tried yet',
  closed: 'working',
  open: 'down',
  half_open: 'being tried',
} as const;

interface SendingPage {
  limits: {
    name: string;
    pace: string | null;
    slowed: boolean;
    used: number;
    quota: number | null;
    warmUp: string | null;
  }[];
  relays: (Omit<SendingState['relays'][number], 'state'> & { state: string })[];
  noRelayWorks: boolean;
  putOff: SendingState['putOff'];
  held: { reason: string; count: number; advice: string | null }[];
  heldTotal: number;
}

const AT_ONCE =
  'Those of a broadcast go at once, whatever hour it is for their readers, and so do those of a step that has a time of day alone. Window, quiet hours and days of a step are kept, and by night what a broadcast sends at an hour of its readers waits for the morning, or for that hour where those past it get it a day later.';

/** What is to be done before mails that were held for `reason` are sent; null: nothing. */
function adviceOn(reason: string): string | null {
  if (reason === RESTORED)
    return `They waited when the backup was made, and may have gone out since: who got one already gets it twice if you send them, and who did not gets none if you cancel them. ${AT_ONCE}`;
  if (reason === OVERDUE)
    return `Their time passed while nothing could be sent. Send them if they are still of use to their readers. ${AT_ONCE}`;
  if (UNFIT_REASONS.includes(reason))
    return 'Mend the mail and apply its funnel, or mend what its readers have, and send them then: sooner, they are held again. Those of a sequence leave with the words that their step has then; those of a broadcast keep theirs.';
  if (refusedFor(reason) === null) return null;
  return 'Their servers said no for good, because of you and not of your readers. See what they said under Bounces, let doctor look at your domain, mend it, and send them then: sooner, they are refused again.';
}

/** What the page Sending shows. */
export function sendingPage({ buckets, relays, putOff, held }: SendingState): SendingPage {
  const byReason = new Map<string, number>();
  for (const { reason, count } of held) byReason.set(reason, (byReason.get(reason) ?? 0) + count);
  return {
    limits: buckets.map(({ key, perSecond, usedToday, quotaToday, warmUpStartedOn }) => ({
      name: limitName(key),
      pace: paceWords(perSecond),
      slowed: key.startsWith('lane:'),
      used: usedToday,
      quota: quotaToday,
      warmUp: warmUpStartedOn,
    })),
    relays: relays.map((relay) => ({
      ...relay,
      state: RELAY_STATES[relay.state],
      lanes: relay.lanes ?? DEFAULT_LANES,
    })),
    noRelayWorks: noneWorks(relays),
    putOff: putOff.map((one) => ({ ...one, reason: replyWords(one.reason) ?? one.reason })),
    held: [...byReason].map(([reason, count]) => ({ reason, count, advice: adviceOn(reason) })),
    heldTotal: held.reduce((sum, { count }) => sum + count, 0),
  };
}
