import type { Refusal } from './commission.js';
import type { Attribution } from './touch.js';

/** A commission as it is kept. Amounts in minor units of `currency`. */
export interface CommissionRecord {
  id: string;
  affiliateId: string;
  affiliateCode: string;
  affiliateName: string | null;
  orderId: string;
  orderNumber: string;
  funnelKey: string;
  productKey: string;
  productName: string;
  tier: 1 | 2;
  baseMinor: number;
  rateBps: number;
  amountMinor: number;
  clawedBackMinor: number;
  currency: string;
  refusal: Refusal | null;
  /** Where the order got its affiliate from: the browser at the checkout, or what is kept with the subscriber. */
  via: 'checkout' | 'subscriber';
  /** Which click counted then. */
  attribution: Attribution;
  touchedAt: Date;
  dueAt: Date;
  payoutId: string | null;
  /** Of one that was cancelled the commission is let go. */
  payoutState: 'open' | 'paid' | null;
  createdAt: Date;
}

export const COMMISSION_STATES = ['refused', 'pending', 'due', 'in_payout', 'paid', 'clawed_back'] as const;
type CommissionState = (typeof COMMISSION_STATES)[number];

export function commissionState(
  { refusal, payoutState, amountMinor, clawedBackMinor, dueAt }: CommissionRecord,
  now: Date,
): CommissionState {
  if (refusal !== null) return 'refused';
  if (amountMinor > 0 && clawedBackMinor >= amountMinor) return 'clawed_back';
  if (payoutState !== null) return payoutState === 'paid' ? 'paid' : 'in_payout';
  return dueAt > now ? 'pending' : 'due';
}
