import type { Money } from '../values/money.js';

export const AFFILIATE_STATES = ['active', 'paused'] as const;
export type AffiliateState = (typeof AFFILIATE_STATES)[number];

/** The code that stands in an address, whatever its case; null for what can be none. */
export function readCode(text: string): string | null {
  const code = text.toLowerCase();
  return /^[a-z0-9-]{1,40}$/.test(code) ? code : null;
}

/** Words that conditions use where a code may stand. */
export const RESERVED_CODES: readonly string[] = ['any', 'none', 'self'];

export interface Affiliate {
  id: string;
  /** Stands in the link; never changes. */
  code: string;
  /** Null, as the address, once they were erased. */
  name: string | null;
  email: string | null;
  recruiterId: string | null;
  state: AffiliateState;
  createdAt: Date;
  isErased: boolean;
  /** They asked to be forgotten and are owed money: the last payment forgets them. */
  isForgottenWhenPaid: boolean;
}

/** What an affiliate has brought. */
export interface AffiliateFigures {
  /** Of their link, by people; machines and looks ahead do not count. */
  clicks: number;
  /** Subscribers whose last affiliate they are, and who signed up on a form. */
  signUps: number;
  /** Orders that earned in the first tier; those refunded since are among them. */
  sales: number;
  /** Of both tiers, one for each currency. */
  balances: Balance[];
}

export interface Balance {
  currency: string;
  /** Still in the hold. */
  pendingMinor: number;
  /** Over the hold and in no payout; below zero after a refund of what was paid out, until later sales make up for it. */
  dueMinor: number;
  /** In payouts that are not paid yet. */
  inPayoutMinor: number;
  paidOutMinor: number;
  /** Of all of it; the others are without it. */
  takenBackMinor: number;
}

export const PAYOUT_STATES = ['open', 'paid', 'cancelled'] as const;
/** `cancelled`: what was in it is due again. */
export type PayoutState = (typeof PAYOUT_STATES)[number];

export interface Payout {
  id: string;
  affiliateId: string;
  affiliateCode: string;
  affiliateName: string | null;
  affiliateEmail: string | null;
  amount: Money;
  state: PayoutState;
  createdAt: Date;
  paidAt: Date | null;
  cancelledAt: Date | null;
}
