import { FULL_BPS } from '../values/money.js';

export interface CommissionRates {
  /** Basis points of the net amount for the affiliate who sent the buyer. */
  commissionBps: number;
  /** Basis points of the same net amount for the one who recruited them. */
  secondTierBps: number;
}

/** Somebody who may earn by a sale. */
export interface Party {
  affiliateId: string;
  isActive: boolean;
  /** Buys here themselves, under whichever of their addresses. */
  isBuyer: boolean;
}

export type Refusal = 'self_referral' | 'affiliate_paused' | 'recruiter_is_buyer' | 'recruiter_paused';

export interface EarnedCommission {
  lineId: string;
  affiliateId: string;
  tier: 1 | 2;
  baseMinor: number;
  rateBps: number;
  /** 0 where it is refused. */
  amountMinor: number;
  refusal: Refusal | null;
}

interface Sale {
  /** What was paid for each product, after discounts, in minor units from 0. */
  lines: readonly { id: string; netMinor: number }[];
  rates: CommissionRates;
  affiliate: Party;
  /** Who recruited the affiliate. */
  recruiter: Party | null;
}

/**
 * Who earns what by a sale, line by line. Each amount is rounded down to a whole minor unit, and the second tier gets at
 * most what the first leaves of both rates together, so that all of it never passes that share of what was paid. A sale
 * of an affiliate to themselves is no referral: neither tier earns. What is refused stands there with its reason.
 */
export function commissionsOf({ lines, rates, affiliate, recruiter }: Sale): EarnedCommission[] {
  const first = firstRefusal(affiliate);
  return lines
    .filter(({ netMinor }) => netMinor > 0)
    .flatMap(({ id: lineId, netMinor: baseMinor }) => {
      const earned: EarnedCommission[] = [];
      const rateBps = rates.commissionBps;
      const amountMinor = first === null ? shareOf(baseMinor, rateBps) : 0;
      const { affiliateId } = affiliate;
      earned.push({ lineId, affiliateId, tier: 1, baseMinor, rateBps, amountMinor, refusal: first });
      if (recruiter === null || rates.secondTierBps === 0 || first !== null) return earned;
      const refusal = secondRefusal(recruiter);
      const most = shareOf(baseMinor, Math.min(rateBps + rates.secondTierBps, FULL_BPS)) - amountMinor;
      const second = refusal === null ? Math.min(shareOf(baseMinor, rates.secondTierBps), most) : 0;
      earned.push({
        ...{ lineId, affiliateId: recruiter.affiliateId, tier: 2, baseMinor },
        ...{ rateBps: rates.secondTierBps, amountMinor: second, refusal },
      });
      return earned;
    });
}

function firstRefusal({ isBuyer, isActive }: Party): Refusal | null {
  if (isBuyer) return 'self_referral';
  return isActive ? null : 'affiliate_paused';
}

function secondRefusal({ isBuyer, isActive }: Party): Refusal | null {
  if (isBuyer) return 'recruiter_is_buyer';
  return isActive ? null : 'recruiter_paused';
}

/** `bps` of an amount from 0, rounded down to a whole minor unit. */
export function shareOf(amountMinor: number, bps: number): number {
  return Number((BigInt(amountMinor) * BigInt(bps)) / BigInt(FULL_BPS));
}

/**
 * How much of a commission is clawed back once `refundedMinor` of a line's `totalMinor` have gone back in all, those of
 * earlier refunds included: the same part of it, rounded up, so that what stays is never more than its share of what the
 * buyer still pays. All of it when all went back.
 */
export function clawedBackOf(
  amountMinor: number,
  { refundedMinor, totalMinor }: { refundedMinor: number; totalMinor: number },
): number {
  if (totalMinor <= 0 || refundedMinor >= totalMinor) return amountMinor;
  const total = BigInt(totalMinor);
  return Number((BigInt(amountMinor) * BigInt(Math.max(refundedMinor, 0)) + total - 1n) / total);
}
