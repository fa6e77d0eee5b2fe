import type { Sender } from '../delivery/message/message.js';
import type { Condition } from '../segments/condition.js';
import type { Money } from '../values/money.js';
import type { Audience } from './audience.js';
import type { BroadcastProgress } from './broadcast-status.js';
import type { BroadcastOffer, FrozenOffer } from './broadcast-offer.js';
import type { Split } from './split.js';
import type { ArmFigures, SplitDecision, StoppedArm } from './split-results.js';
import type { HoldoutResults } from './holdout.js';
import type { BroadcastTiming } from './timing.js';

export interface Broadcast extends BroadcastProgress {
  id: string;
  /** The owner's own name for it, by which writing it again is the same broadcast. */
  key: string | null;
  title: string;
  template: string;
  /** In place of the template's own; may hold variables. */
  subject: string | null;
  /** What its mail offers; arms of a test may offer something else. */
  offer: BroadcastOffer | null;
  /** As they stood when it began; null before. */
  offers: FrozenOffer[] | null;
  /** The version of its own words, frozen at the start. */
  templateId: string;
  audience: Audience;
  sender: Sender;
  topic: string | null;
  /** Of mails that are due at once: 1 goes first, 5 is usual, 9 last. */
  priority: number;
  stateReason: string | null;
  /** When it begins: its audience is frozen then, and no mail is due before. */
  scheduledAt: Date | null;
  /** When its mails are due; null before the start. */
  timing: BroadcastTiming | null;
  expiresAt: Date | null;
  /** How far planning has come: every recipient up to this id has their mail. */
  cursor: string;
  /** The last subscriber there was when planning began; who joins later is not part of it. */
  lastSubscriberId: string | null;
  /** The conditions of the segments as they were when planning began; null before. */
  segments: Record<string, Condition> | null;
  /** Mails written, counted in the transactions that wrote them. */
  planned: number;
  /** What is tried on a part of the audience before the rest gets it. */
  split: Split | null;
  /** The frozen words of each arm; null before the start and without a test. */
  armTemplateIds: string[] | null;
  /** When the test is judged; null until each of its mails was tried. */
  decideAt: Date | null;
  decision: SplitDecision | null;
  /** Arms that broke a guard rail, in the order in which they were stopped. */
  stoppedArms: StoppedArm[];
  /** When the guard rails were looked at last; null: not yet. */
  lookedAt: Date | null;
  /** Recipients whose time zone is not known, counted as `planned`. */
  withoutZone: number;
  /** Recipients whose clock was past the hour when it began. */
  hourPassed: number;
  /** The broadcast that it sends once more. */
  resendOf: string | null;
  /** The broadcast that sends it once more, unless that was cancelled. */
  resentBy: string | null;
  createdAt: Date;
  endedAt: Date | null;
  /** When it was paused last; null: never, or before this was kept. */
  pausedAt: Date | null;
  /** When the last pause ended. */
  letGoAt: Date | null;
  /** When its words were changed last, after its start. */
  rewordedAt: Date | null;
  /** By version of its words, the one that mails which wait get in its place; null: they were not changed since it began. */
  reworded: Record<string, string> | null;
}

/** What the owner writes, and may change until the start. */
export interface BroadcastDraft {
  title: string;
  template: string;
  subject?: string | null | undefined;
  offer?: BroadcastOffer | null | undefined;
  split?: Split | null | undefined;
  audience: Audience;
  sender: Sender;
  topic: string | null;
  priority?: number | undefined;
  expiresAt: Date | null;
}

/** Topic of a broadcast that names neither a topic nor a funnel: readers can opt out of these as of any other. */
const DEFAULT_TOPIC = 'news';

/** What the mails belong to: opting out of it stops them, and List-Id names it. */
export function topicOf({ topic, audience }: Pick<Broadcast, 'topic' | 'audience'>): string {
  if (topic !== null) return topic;
  return ('funnel' in audience ? audience.funnel : undefined) ?? DEFAULT_TOPIC;
}

/**
 * What stands before and behind the subscriber's id in the dedupe key of their mail: one each, however often the broadcast
 * is started, paused or planned again.
 */
export function broadcastMailKey(broadcastId: string): [before: string, after: string] {
  return [`b:${broadcastId}:`, ''];
}

interface BroadcastEstimate {
  /** All of its mails that have not gone, those of the next two lines among them. */
  remaining: number;
  /** Readers whose mail is still to be written. */
  unwritten: number;
  /** Mails that wait until the split test is judged. */
  waitsForTest: number;
  /** Null: at the present rates it cannot be said. */
  completesAt: Date | null;
  perSecond: number | null;
  /** As of the estimate of all mails: what decides, or lets nothing through. */
  limitedBy: string | null;
}

/** A broadcast with what the ledger says of its mails. */
export interface BroadcastReport extends Broadcast {
  /** Mails per state; a state without a mail is left out. */
  counts: Record<string, number>;
  /** Every mail is written, and none of them is open any more. */
  complete: boolean;
  /** When the rest will have gone out at the present rates and due times; null when nothing of it is under way. */
  estimate: BroadcastEstimate | null;
  /** How the arms of its test fare; null without one and before its start. */
  arms: ArmFigures[] | null;
}

/** What the mails with one version of the words came to. */
export interface WordsResults {
  templateId: string;
  template: string;
  /** As it was written. */
  subject: string;
  /** Whether mails that wait go with it. */
  isCurrent: boolean;
  sent: number;
  opened: number;
  clicked: number;
  bounced: number;
  complained: number;
}

/** What a broadcast's mails came to, in mails. */
export interface BroadcastResults {
  /** That a relay has taken, by its word or as something was fetched from them. */
  sent: number;
  /** The same with those that bounced before anybody took them: what `bounced` is a part of. */
  tried: number;
  /** Opened by somebody, as far as pictures tell; a machine that fetches them is nobody. */
  opened: number;
  clicked: number;
  bounced: number;
  complained: number;
  /** Readers who have left the list since their mail. */
  left: number;
  /** That came by a link in its mails, less what was paid back. */
  orders: number;
  revenue: Money[];
  /** The same for each arm of a split test that has brought any; `null`: the rest, which was in no test. */
  ordersOfArms: { arm: number | null; orders: number; revenue: Money[] }[];
  /** By the words that they went with, the first ones first; null where those were not changed on the way. */
  words: WordsResults[] | null;
  /** What the mail is worth beside none at all; null where nobody was held out. */
  holdout: HoldoutResults | null;
}

/** What a broadcast can be put together from. */
export interface BroadcastChoices {
  mails: { key: string; subject: string }[];
  segments: { key: string; title: string }[];
  funnels: { key: string; title: string }[];
  offers: { key: string; title: string }[];
  /** As in the last broadcast, or in the first funnel. */
  sender: Sender;
}

export interface BroadcastPreview {
  subject: string;
  html: string;
  text: string;
  /** Whose mail is shown; null: nobody of the audience, which is empty. */
  reader: string | null;
  readerId: string | null;
}

/** What is other when a broadcast is sent once more, and who is passed by. */
export interface Resend {
  subject: string | null;
  /** Null: the mail of the first one. */
  template: string | null;
  unless: 'opened' | 'clicked';
  title: string | null;
  /** It may go without those whose first mail still waits. */
  leaveOutWaiting?: boolean | undefined;
  /** Left out: that of the first one, or of its winner, while it is sold. */
  offer?: BroadcastOffer | null | undefined;
}
