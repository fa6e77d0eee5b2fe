import { bpsToText, moneyOf, moneyToText } from '../values/money.js';
import type { Refusal } from './commission.js';
import { type CommissionRecord, commissionState } from './commission-record.js';

const REFUSAL_TEXT: Readonly<Record<Refusal, string>> = {
  self_referral:
    'The affiliate bought here themselves, which is no referral and earns nothing in either tier.',
  affiliate_paused: 'The affiliate was paused when the order was paid, so it earned nothing.',
  recruiter_is_buyer: 'The recruiter bought here themselves, so the second tier earned nothing.',
  recruiter_paused: 'The recruiter was paused when the order was paid, so the second tier earned nothing.',
};

const text = (amountMinor: number, currency: string): string => moneyToText(moneyOf(amountMinor, currency));

/** Who got what and by which rule, a sentence each. */
export function explainCommission(commission: CommissionRecord, now: Date): string[] {
  const { affiliateCode, orderNumber, productName, tier, refusal, attribution } = commission;
  const { touchedAt, via, clawedBackMinor, amountMinor, currency } = commission;
  const clicked = instantText(touchedAt);
  const source =
    via === 'checkout'
      ? `The browser that placed order ${orderNumber} came by the link at ${clicked}.`
      : `The buyer of order ${orderNumber} is a subscriber who came by the link at ${clicked}.`;
  const who =
    tier === 1
      ? `${affiliateCode} is the affiliate whose link was clicked ${attribution} before the order, within the funnel's window${attribution === 'first' ? ', as the funnel pays the first click' : ''}.`
      : `${affiliateCode} recruited the affiliate whose link led to the order, and gets the second tier.`;
  const back = text(clawedBackMinor, currency);
  return [
    source,
    who,
    refusal === null
      ? `${sum(commission)} for "${productName}", rounded down to a whole minor unit.`
      : REFUSAL_TEXT[refusal],
    ...(clawedBackMinor === 0
      ? []
      : [
          `${back} of it was clawed back by refunds; ${text(amountMinor - clawedBackMinor, currency)} stays.`,
        ]),
    ...stateText(commission, now),
  ];
}

/** `2026-01-05 09:00 UTC` */
function instantText(at: Date): string {
  return `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function sum({ rateBps, baseMinor, amountMinor, currency }: CommissionRecord): string {
  return `${bpsToText(rateBps)} of the ${text(baseMinor, currency)} paid is ${text(amountMinor, currency)}`;
}

function stateText(commission: CommissionRecord, now: Date): string[] {
  const due = instantText(commission.dueAt);
  switch (commissionState(commission, now)) {
    case 'pending':
      return [`It is held until ${due}.`];
    case 'due':
      return [`It has been due since ${due} and is in no payout yet.`];
    case 'in_payout':
      return [`It is in payout ${commission.payoutId ?? ''}, which is not paid yet.`];
    case 'paid':
      return [`It was paid with payout ${commission.payoutId ?? ''}.`];
    case 'clawed_back':
      return commission.payoutState === 'paid'
        ? [`It was paid with payout ${commission.payoutId ?? ''}, and is taken off what becomes due later.`]
        : [];
    case 'refused':
      return [];
  }
}
