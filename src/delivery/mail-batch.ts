import type { MessageClass, MessageKind, Sender } from './message.js';

/** What many mails of one batch have in common; it crosses to the database once, not once per mail. */
export interface SharedMail {
  class: MessageClass;
  kind: MessageKind;
  /** The topic the mail belongs to: its funnel, or what a broadcast is about. */
  funnelKey: string;
  stepKey?: string | undefined;
  broadcastId?: string | undefined;
  templateId: string;
  data: Record<string, unknown>;
  sender: Sender;
  dueAt: Date;
  expiresAt?: Date | undefined;
}

/** One mail of a batch. */
export interface BatchMail {
  /** Place of its `SharedMail` in the batch. */
  shared: number;
  dedupeKey: string;
  subscriberId: string;
  enrollmentId?: string | undefined;
  address: string;
  /** The address as it is compared and hashed. */
  emailKey: string;
}

export interface MailBatch {
  shared: SharedMail[];
  mails: BatchMail[];
}
