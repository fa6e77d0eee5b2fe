import type { SubscriberStatus } from './subscription-status.js';

/** Own fields of a subscriber: flat, so that a mail or a segment can name each one. */
export type SubscriberFields = Record<string, string | number | boolean | null>;

export interface Subscriber {
  id: string;
  email: string;
  emailKey: string;
  name: string | null;
  status: SubscriberStatus;
  timeZone: string | null;
  locale: string | null;
  fields: SubscriberFields;
  /** Until when they want no marketing mail; null: no pause. */
  pausedUntil: Date | null;
  trackingConsent: boolean;
  tags: string[];
  createdAt: Date;
  confirmedAt: Date | null;
  updatedAt: Date;
}

type ConsentKind = 'granted' | 'confirmed' | 'withdrawn';

/** Evidence of one decision about consent; kept, never changed. */
export interface ConsentEvidence {
  subscriberId: string;
  kind: ConsentKind;
  /** What it was for, such as `marketing`. */
  purpose: string;
  /** The exact words the person saw. */
  consentText?: string | undefined;
  formSlug?: string | undefined;
  pageUrl?: string | undefined;
  ip?: string | undefined;
  userAgent?: string | undefined;
  /** When it happened, if that was not now. */
  at?: Date | undefined;
}

/** The words of a decision and where it was made. */
export type ConsentWords = Pick<ConsentEvidence, 'consentText' | 'pageUrl' | 'ip' | 'userAgent'>;

export type UnsubscribeSource =
  'one_click' | 'page' | 'mailto' | 'preferences' | 'api' | 'provider' | 'report';

export interface Suppression {
  id: string;
  /** HMAC of the address, hex. */
  emailHash: string;
  /** `marketing` still lets receipts and confirmations through; `all` nothing. */
  scope: 'all' | 'marketing';
  /** `soft_bounce`: several mails in a row did not arrive, and no server has said that the address is dead. */
  reason: 'unsubscribed' | 'hard_bounce' | 'soft_bounce' | 'complaint' | 'erased' | 'manual';
  source: string;
  createdAt: Date;
}
