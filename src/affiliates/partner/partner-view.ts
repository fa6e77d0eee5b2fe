import { bpsToText, type Money, moneyOf } from '../../values/money.js';
import type { Attribution } from '../touch.js';
import { type CommissionRecord, commissionState } from '../commission-record.js';

const STATE_WORDS = {
  refused: { label: 'earned nothing', badge: '' },
  pending: { label: 'held', badge: 'badge-warn' },
  due: { label: 'approved', badge: 'badge-brand' },
  in_payout: { label: 'being paid', badge: 'badge-brand' },
  paid: { label: 'paid', badge: 'badge-good' },
  clawed_back: { label: 'taken back', badge: 'badge-bad' },
} as const;

interface Earning {
  productName: string;
  /** Of the second tier it is by a recruit's sale. */
  isOfRecruit: boolean;
  base: Money;
  rate: string;
  amount: Money;
  /** By refunds, of the amount; null for nothing. */
  takenBack: Money | null;
  label: string;
  badge: string;
  /** Of one that is held. */
  dueAt: Date | null;
  soldAt: Date;
}

/** A commission for the eyes of who earned it: by what and how much, and not by whom. */
export function earningOf(commission: CommissionRecord, now: Date): Earning {
  const { productName, tier, baseMinor, rateBps, amountMinor, clawedBackMinor, currency } = commission;
  const state = commissionState(commission, now);
  return {
    productName,
    isOfRecruit: tier === 2,
    base: moneyOf(baseMinor, currency),
    rate: bpsToText(rateBps),
    amount: moneyOf(amountMinor, currency),
    takenBack: clawedBackMinor === 0 ? null : moneyOf(clawedBackMinor, currency),
    ...STATE_WORDS[state],
    dueAt: state === 'pending' ? commission.dueAt : null,
    soldAt: commission.createdAt,
  };
}

export function termsView(terms: {
  title: string;
  commissionBps: number;
  secondTierBps: number;
  hold: string;
  cookie: string;
  attribution: Attribution;
}): Record<'title' | 'commission' | 'hold' | 'cookie' | 'attribution', string> & {
  secondTier: string | null;
} {
  const { title, commissionBps, secondTierBps, hold, cookie, attribution } = terms;
  return {
    ...{ title, hold, cookie, attribution, commission: bpsToText(commissionBps) },
    secondTier: secondTierBps === 0 ? null : bpsToText(secondTierBps),
  };
}
