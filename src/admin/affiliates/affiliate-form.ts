import type { Affiliate } from '../../affiliates/affiliate.js';
import type { CommissionRecord } from '../../affiliates/commission-record.js';
import { commissionState } from '../../affiliates/commission-record.js';
import { explainCommission } from '../../affiliates/explain-commission.js';
import { type Money, moneyOf } from '../../values/money.js';
import { typedTexts } from '../forms/typed-text.js';
import type { FormProblem } from '../forms/form-problems.schemas.js';

const MAX_TYPED_CHARS = 300;

/** What stands in the form of an affiliate. `recruiter` is a code, as people know each other by. */
export interface AffiliateTyped {
  name: string;
  email: string;
  code: string;
  recruiter: string;
  isPaused: boolean;
}

export const NOTHING_TYPED: AffiliateTyped = {
  name: '',
  email: '',
  code: '',
  recruiter: '',
  isPaused: false,
};

/** The fields of a POST; what is none of the form's is left out. */
export function affiliateTypedFrom(body: unknown): AffiliateTyped {
  const get = typedTexts(body, MAX_TYPED_CHARS);
  return {
    name: get('name'),
    email: get('email'),
    code: get('code').toLowerCase(),
    recruiter: get('recruiter').toLowerCase(),
    isPaused: get('paused') !== '',
  };
}

export function typedOfAffiliate(affiliate: Affiliate, recruiter: string): AffiliateTyped {
  const { name, email, code, state } = affiliate;
  return { name: name ?? '', email: email ?? '', code, recruiter, isPaused: state === 'paused' };
}

const FORM_FIELDS: Readonly<Record<string, string>> = { recruiterId: 'recruiter' };

/** Messages by field as the form shows them: `recruiterId: no …` stands at the field for the code of the recruiter. */
export function problemsByField(
  errors: Readonly<Record<string, string>>,
): Pick<FormProblem, 'name' | 'message'>[] {
  return Object.entries(errors).map(([field, message]) => ({
    name: FORM_FIELDS[field] ?? field,
    message: message.replace(/^\w+: /, ''),
  }));
}

const STATE_WORDS: Readonly<Record<string, { label: string; badge: string }>> = {
  refused: { label: 'earned nothing', badge: '' },
  pending: { label: 'held', badge: 'badge-warn' },
  due: { label: 'due', badge: 'badge-brand' },
  in_payout: { label: 'in a payout', badge: 'badge-brand' },
  paid: { label: 'paid', badge: 'badge-good' },
  clawed_back: { label: 'refunded', badge: 'badge-bad' },
};

interface CommissionRow {
  id: string;
  orderNumber: string;
  productName: string;
  tier: string;
  amount: Money;
  clawedBack: Money | null;
  label: string;
  badge: string;
  dueAt: Date | null;
  createdAt: Date;
  explanation: string[];
}

/** A commission for the owner's eyes. */
export function commissionRow(commission: CommissionRecord, now: Date): CommissionRow {
  const { id, orderNumber, productName, tier, amountMinor, clawedBackMinor, currency } = commission;
  const state = commissionState(commission, now);
  return {
    ...{ id, orderNumber, productName },
    tier: tier === 1 ? 'first' : 'second',
    amount: moneyOf(amountMinor, currency),
    clawedBack: clawedBackMinor === 0 ? null : moneyOf(clawedBackMinor, currency),
    ...(STATE_WORDS[state] ?? { label: state, badge: '' }),
    dueAt: state === 'pending' ? commission.dueAt : null,
    createdAt: commission.createdAt,
    explanation: explainCommission(commission, now),
  };
}

/** What is typed as the least amount of a payout run, `30.00 EUR`. */
export function minimumTypedFrom(body: unknown): string {
  return typedTexts(body, 60)('minimum');
}
