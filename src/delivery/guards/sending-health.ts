import { RECIPIENT_GROUPS } from '../message/recipient-group.js';

/** How a broadcast, or a sequence in the last days, fares, counted in mails. */
interface BroadcastTally {
  accepted: number;
  /** Accepted or refused for good. */
  tried: number;
  /** Addresses that turned out dead, at RCPT or by a bounce. */
  hard: number;
  /** Refused because of us: policy, reputation, authentication. */
  sender: number;
  complaints: number;
}

/** An organisation, and how many reports of a kind are about mails to it. */
export interface OfOne {
  name: string;
  count: number;
}

/** How the mails to one group of receivers fare. */
export interface ProviderTally {
  group: string;
  accepted: number;
  complaints: number;
  /** The organisation with the most of the complaints, where they might pause anything and it got few of the mails. */
  ofOne?: OfOne | undefined;
}

/** Also whom the refusals because of us speak of, which are all among `sender`, and where the complaints come from. */
export interface RefusedTally extends BroadcastTally {
  /** Where complaints are judged by themselves: at those groups of which somebody complained, and without a name over all. */
  providers: readonly (Omit<ProviderTally, 'group'> & { group?: string })[];
  /** Those that name our domain or address: as listed, of poor reputation or not authenticated. */
  plainlyUs: number;
  /** Domains of the recipients whose mails were refused because of us. */
  senderDomains: number;
  /** Readers of whose mails a report says so that may be forged; not among `sender`. */
  doubted: number;
  /** Of each kind, as `ofOne` of a provider. */
  loudest?: Partial<Record<ReportKind, OfOne | undefined>>;
}

export type ReportKind = 'hard' | 'sender' | 'complaint';

export const NO_TALLY: RefusedTally = {
  ...{ accepted: 0, tried: 0, hard: 0, sender: 0, complaints: 0 },
  ...{ plainlyUs: 0, senderDomains: 0, doubted: 0, providers: [] },
};

/** What of later reports about mails of before is judged anew: the owner has judged the rest. */
export function complaintsOf({ accepted, tried, complaints, providers }: RefusedTally): RefusedTally {
  return { ...NO_TALLY, accepted, tried, complaints, providers };
}

/** All that is judged of the complaints of a tally, beside those of another. */
export function complaintTallies({
  accepted,
  complaints,
  providers,
  loudest,
}: RefusedTally): RefusedTally['providers'] {
  return [{ accepted, complaints, ofOne: loudest?.complaint }, ...providers];
}

export interface HealthVerdict {
  action: 'none' | 'warn' | 'pause';
  /** For people; null when all is well. */
  reason: string | null;
}

/** Whether a broadcast or sequence stands still for such a reason. */
export const isOfReports = (reason: string): boolean =>
  /addresses do not exist$|recipients complained|because of the sender$/.test(reason);

/** Gmail and Yahoo: stay below 0.1 %, never reach 0.3 %. */
const COMPLAINTS_WARN = 0.001;
const COMPLAINTS_PAUSE = 0.003;
/** One angry reader says little. */
const COMPLAINTS_MIN = 2;
/**
 * Of so few mails each is more than 0.3 %: a small list would stand still for every two angry readers. They are told, and
 * five stop it, whatever the number of its mails. Not of so few at one receiver by itself: whoever has a domain may have five
 * mailboxes there, and would stop a broadcast to a million.
 */
const FEW_ACCEPTED = 100;
const COMPLAINTS_MIN_OF_FEW = 5;

/** A bought or rotten list shows at once; 20 dead addresses are found long before 200 mails have left. */
const HARD_PAUSE = 0.1;
const HARD_MIN = 20;

const SENDER_PAUSE = 0.003;
/** A single one may be the rule of one server; two domains, or three mails, are no chance. */
const SENDER_DOMAINS_MIN = 2;
const SENDER_MIN = 3;

/** Whose servers refuse us without a word that names us, or names us at one small one, may be one person: two have to agree. */
const SENDER_AGREED_MIN = 2;

const SEQUENCE_SENDER_MIN = 3;
/** Of a sequence, reports that are fewer of every kind call for nothing, whatever the number of its mails. */
export const SEQUENCE_LEAST = {
  hard: HARD_MIN,
  sender: SEQUENCE_SENDER_MIN,
  complaints: COMPLAINTS_MIN,
} as const;

/** For each report of a kind: of more mails than so many it calls for nothing. */
export const ENOUGH_FOR = {
  hard: Math.ceil(1 / HARD_PAUSE),
  sender: Math.ceil(1 / SENDER_PAUSE),
  complaint: Math.ceil(1 / COMPLAINTS_WARN),
} as const;

/**
 * What the numbers call for; the gravest comes first. One refusal that plainly speaks of us is enough in a small broadcast:
 * whatever is wrong with us is wrong with the next mail too.
 */
export function broadcastHealth({ plainlyUs, senderDomains, ...tally }: RefusedTally): HealthVerdict {
  const isUs = plainlyUs > 0 || senderDomains >= SENDER_DOMAINS_MIN || tally.sender >= SENDER_MIN;
  return health(isUs ? tally : { ...tally, sender: 0 });
}

type Judged = BroadcastTally & Pick<RefusedTally, 'providers' | 'doubted' | 'loudest'>;

function health(tally: Judged): HealthVerdict {
  const { tried, hard, sender, doubted, accepted, complaints, loudest = {} } = tally;
  const refused = `of ${tried} mails were refused because of the sender`;
  const found: HealthVerdict[] = [];
  if (hard >= HARD_MIN && hard >= tried * HARD_PAUSE) {
    const need = Math.max(HARD_MIN, Math.ceil(tried * HARD_PAUSE));
    found.push(agreed(`${hard} of ${tried} addresses do not exist`, { count: hard, need }, loudest.hard));
  }
  const overall = { accepted, complaints, ofOne: loudest.complaint };
  found.push(gravest([overall, ...tally.providers].map(complaintHealth)));
  if (sender > 0 && sender >= tried * SENDER_PAUSE) {
    const need = Math.max(SENDER_AGREED_MIN, Math.ceil(tried * SENDER_PAUSE));
    found.push(agreed(`${sender} ${refused}`, { count: sender, need }, loudest.sender));
  }
  // Whoever has so many mailboxes can stop it by dead addresses as well.
  if (doubted >= HARD_MIN && doubted >= tried * HARD_PAUSE)
    found.push({ action: 'pause', reason: `by reports that may be forged, ${doubted} ${refused}` });
  return gravest(found);
}

/**
 * A pause, where half of the reports that it needs are about other organisations than the loudest: whoever has a domain has any
 * number of mailboxes, and what their server and they say of them is one voice. Else the owner is told.
 */
function agreed(
  reason: string,
  { count, need }: { count: number; need: number },
  ofOne: OfOne | undefined,
): HealthVerdict {
  if (ofOne === undefined || count - ofOne.count >= Math.floor(need / 2)) return { action: 'pause', reason };
  return { action: 'warn', reason: `${reason}, ${ofOne.count} of them at ${ofOne.name} alone` };
}

/**
 * The same for the mails of a sequence in the last days. They are few at a time and go on for months: one server with rules
 * of its own must not stop them, however many of their readers are there.
 */
export function sequenceHealth({ plainlyUs, senderDomains, ...tally }: RefusedTally): HealthVerdict {
  const isUs = tally.sender >= SEQUENCE_SENDER_MIN && (plainlyUs > 0 || senderDomains >= SENDER_DOMAINS_MIN);
  return health(isUs ? tally : { ...tally, sender: 0 });
}

const GRAVITY = { none: 0, warn: 1, pause: 2 } as const;

/** Of those that are equally grave, the first. */
export function gravest(verdicts: readonly HealthVerdict[]): HealthVerdict {
  return verdicts.reduce((worst, one) => (GRAVITY[one.action] > GRAVITY[worst.action] ? one : worst), {
    action: 'none',
    reason: null,
  });
}

/**
 * The rate of complaints alone: at one provider, which judges by its own readers, or over all. Most tell nobody who
 * complained, so that over all a rate may be low that is not so anywhere.
 */
export function complaintHealth({
  complaints,
  accepted,
  group,
  ofOne,
}: Omit<ProviderTally, 'group'> & { group?: string }): HealthVerdict {
  const rate = accepted === 0 ? 0 : complaints / accepted;
  if (complaints < COMPLAINTS_MIN || rate < COMPLAINTS_WARN) return { action: 'none', reason: null };
  const where = group === undefined ? '' : ` at ${group === 'other' ? 'other providers' : group}`;
  const reason = `${complaints} of ${accepted} recipients complained${where} (${(rate * 100).toFixed(2)} %)`;
  const isReceiver = group !== undefined && !RECIPIENT_GROUPS.some((one) => one === group);
  const isEnough = accepted >= FEW_ACCEPTED || (complaints >= COMPLAINTS_MIN_OF_FEW && !isReceiver);
  if (!isEnough || rate < COMPLAINTS_PAUSE) return { action: 'warn', reason };
  const least = accepted < FEW_ACCEPTED ? COMPLAINTS_MIN_OF_FEW : COMPLAINTS_MIN;
  const need = Math.max(least, Math.ceil(accepted * COMPLAINTS_PAUSE));
  return agreed(reason, { count: complaints, need }, ofOne);
}
