/** Who the mail is from, as the funnel says; frozen into each planned message. */
export interface Sender {
  name: string;
  email: string;
  postalAddress: string;
}

/**
 * The state, in SQL, of a message `m` that ends without being sent, or refused. One whose first try is unclear, so that it
 * waited to be sent once more, may have been taken then: nobody can say that it was not. A late answer to the one
 * unclear try, when `m` is `unknown`, says what became of it.
 */
export const withoutSending = (state: string): string =>
  `case when m.unknown_count > 0 and (${state} in ('suppressed', 'cancelled', 'expired') or (${state} = 'rejected' and (m.state = 'leased' or m.unknown_count > 1)))
    then 'unknown' else ${state} end`;

/** In SQL, of a mail `m`: its state as it is told. One that is leased is `in_data` once its body is under way, which no row says. */
export const SHOWN_STATE = `case when m.state = 'leased' and m.data_at is not null then 'in_data' else m.state end`;

/** As they are told. */
export const MESSAGE_STATES = [
  'ready',
  'held',
  'leased',
  'in_data',
  'accepted',
  'unknown',
  'rejected',
  'suppressed',
  'expired',
  'cancelled',
] as const;
export type MessageState = (typeof MESSAGE_STATES)[number];

/** In SQL: open, and no byte of the body has left. */
export const NOT_BEGUN = `state in ('ready', 'held', 'leased') and data_at is null`;

/** In SQL: it may go out still. Also while its body is under way or its end unclear, since the relay may put it off yet. */
export const MAY_GO_YET = `state in ('ready', 'held', 'leased', 'unknown')`;

/** The alert that mail of a domain waits so begins with this and ends with the domain. */
export const DKIM_ALERT = 'dkim:';

export type MessageClass = 'transactional' | 'marketing';
export type MessageKind = 'confirmation' | 'sequence' | 'broadcast' | 'receipt' | 'notice' | 'api';

/** One mail to one person, not yet handed to the relay. Its row is the promise that it is sent at most once. */
export interface PlannedMessage {
  /** What makes the mail the same mail: `seq:<enrollment>:<step>`, `confirm:<signup>:<n>`, `receipt:<order>`. */
  dedupeKey: string;
  class: MessageClass;
  kind: MessageKind;
  subscriberId: string | null;
  funnelKey: string;
  enrollmentId?: string | undefined;
  stepKey?: string | undefined;
  templateId: string;
  /** Variables of this one mail beside those of the subscriber and the sender. */
  data: Record<string, unknown>;
  sender: Sender;
  address: string;
  addressHash: Buffer;
  dueAt: Date;
  expiresAt?: Date | undefined;
  /** 0 goes first, and is what transactional mails have: somebody waits for a receipt. */
  priority?: number | undefined;
}

/** Of what tells the owner that something is wrong, maybe that others wait. */
export const OWNERS_PRIORITY = -1;
/** Of what nobody waits for. */
export const USUAL_PRIORITY = 5;
/** Of what a sequence begins with: behind a broadcast that a quota spreads, who has just asked for it would wait for days. */
export const BEGINNING_PRIORITY = 4;

export const priorityOf = ({
  class: messageClass,
  priority,
}: Pick<PlannedMessage, 'class' | 'priority'>): number =>
  priority ?? (messageClass === 'transactional' ? 0 : USUAL_PRIORITY);

/** A message a worker holds a lease on, with all that rendering needs. */
export interface ClaimedMessage {
  id: string;
  epoch: number;
  attempt: number;
  class: MessageClass;
  /** As `priorityOf`. */
  priority: number;
  address: string;
  messageIdHeader: string;
  sender: Sender;
  data: Record<string, unknown>;
  funnelKey: string;
  funnelTitle: string | null;
  stepKey: string | null;
  kind: MessageKind;
  subscriberId: string | null;
  subscriberName: string | null;
  /** The owner's own fields of the person. */
  subscriberFields?: Record<string, unknown> | null;
  trackingConsent: boolean;
  templateId: string;
  createdAt: Date;
  /** Whose servers take it and who sends it: what pacing goes by. */
  queueKey: string;
  broadcastId: string | null;
  /** How often its body was under way without an answer. */
  unknownCount: number;
  /** The hours in which it may go; null: at any time. */
  sendHoursId: number | null;
  /** From when on it is of no use; null: never. */
  expiresAt?: Date | null;
  /** When its tokens were taken, on this process's monotonic clock; left out: just now. */
  paidAtMs?: number | undefined;
  /** The relay that it has to go by, as another one is asked to be slower with mails of its queue; left out: any. */
  relay?: string | undefined;
}

/** One look for due messages. */
export interface Claimed {
  /** How many rows it changed, those it put aside among them; 0: nothing is due, or nothing may go now. */
  taken: number;
  messages: ClaimedMessage[];
  /** Mails wait for their pace: milliseconds until the first may go; null when none does. */
  waitMs: number | null;
}

/** What the attempt came to; every one is a number or a fact from the wire, never a guess. */
export type SendOutcome =
  | { kind: 'accepted'; code: number; reply: string }
  | {
      kind: 'refused';
      permanent: boolean;
      stage: string;
      code: number;
      reply: string;
      /** The relay refuses this sender for now and goes on taking the mails of others. */
      senderAlone?: boolean;
      /** Put off for the state of a system. True: the relay puts off one mail after the other, and it is its own. */
      ofRelay?: boolean;
    }
  /** The connection ended before the body began: the mail was certainly not sent. */
  | { kind: 'not_sent'; stage: string; reason: string }
  /** The mail itself is wrong; trying again would change nothing. `beyondRelay`: not this relay, but another may take it. */
  | { kind: 'unsendable'; reason: string; beyondRelay?: boolean }
  /** It would hide from its reader what the law wants shown. `reason`: one of `UNFIT_REASONS`. */
  | { kind: 'unfit'; reason: string }
  /** The barrier said no: suppressed, cancelled or the lease was lost. Nothing of the body was sent. */
  | { kind: 'held_back' }
  /** The body had begun and no reply came: it may or may not have been taken. */
  | { kind: 'unknown'; reason: string };

const RETRY_MINUTES = [1, 5, 15, 60, 240, 480, 720];

/** Minutes until the next attempt after `attempt` refusals for now; null when it is time to give up (about 25 hours). */
export function retryDelayMinutes(attempt: number): number | null {
  return RETRY_MINUTES[attempt - 1] ?? null;
}
