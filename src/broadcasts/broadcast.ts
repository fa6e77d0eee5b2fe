import type { Sender } from '../delivery/message.js';
import type { Condition } from '../segments/condition.js';
import type { Audience } from './audience.js';
import type { BroadcastProgress } from './broadcast-status.js';

export interface Broadcast extends BroadcastProgress {
  id: string;
  /** The owner's own name for it, by which writing it again is the same broadcast. */
  key: string | null;
  title: string;
  template: string;
  templateId: string;
  audience: Audience;
  sender: Sender;
  topic: string | null;
  stateReason: string | null;
  scheduledAt: Date | null;
  expiresAt: Date | null;
  /** How far planning has come: every recipient up to this id has their mail. */
  cursor: string;
  /** The last subscriber there was when planning began; who joins later is not part of it. */
  lastSubscriberId: string | null;
  /** The conditions of the segments as they were when planning began; null before. */
  segments: Record<string, Condition> | null;
  /** Mails written, counted in the transactions that wrote them. */
  planned: number;
  createdAt: Date;
  endedAt: Date | null;
}

/** What the owner writes, and may change until the start. */
export interface BroadcastDraft {
  title: string;
  template: string;
  audience: Audience;
  sender: Sender;
  topic: string | null;
  expiresAt: Date | null;
}

/** Topic of a broadcast that names neither a topic nor a funnel: readers can opt out of these as of any other. */
export const DEFAULT_TOPIC = 'news';

/** What the mails belong to: opting out of it stops them, and List-Id names it. */
export function topicOf({ topic, audience }: Pick<Broadcast, 'topic' | 'audience'>): string {
  if (topic !== null) return topic;
  return ('funnel' in audience ? audience.funnel : undefined) ?? DEFAULT_TOPIC;
}

/** The dedupe key of one subscriber's mail: one each, however often it is started, paused or planned again. */
export function broadcastMailKey(broadcastId: string, subscriberId: string): string {
  return `b:${broadcastId}:${subscriberId}`;
}

/** A broadcast with what the ledger says of its mails. */
export interface BroadcastReport extends Broadcast {
  /** Mails per state; a state without a mail is left out. */
  counts: Record<string, number>;
  /** Every mail is written, and none of them is open any more. */
  complete: boolean;
}
