import { clawedBackOf } from '../../affiliates/commission.js';
import { refundOf, type RefundableLine, type RefundWish } from '../../orders/refunds/refund.js';
import { boughtTag } from '../../sequences/steps/condition.js';
import { DomainError } from '../../values/domain-error.js';
import { moneyOf, moneyToText, parseMoney } from '../../values/money.js';
import { takeBackMemberships } from './virtual-memberships.js';
import { happened, lookAgain } from './virtual-reactions.js';
import type { VirtualOrder } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { transactional } from './virtual-shop.js';

/** By which the mail about it is told from the receipt of a payment. */
export const CREDIT_NOTE = 'emails/credit-note';

/** What goes back of an order: all of it, an amount such as `10.00 EUR`, or what was paid for products. */
export type RefundScript = string | readonly string[] | undefined;

/**
 * As `RefundsService.refund`: money, and products with it where all that was paid for them goes back; what was bought twice
 * stays bought. Throws `SIMULATION_INVALID` for what cannot go back.
 */
export function refund(
  run: VirtualRun,
  order: VirtualOrder,
  { script, now }: { script: RefundScript; now: Date },
): void {
  if (order.refunded) return;
  const { lines, total, offer } = order;
  const plan = refundOf(lines, wishOf(order, script));
  if ('refusal' in plan) throw cannot(order, plan.refusal === 'too-much' ? plan.restMinor : null);
  for (const line of lines) {
    line.refundedMinor += plan.parts.find(({ lineId }) => lineId === line.id)?.amountMinor ?? 0;
    line.isTakenBack ||= plan.takenBack.includes(line.id);
  }
  order.refunded = plan.isWhole;
  const products = plan.takenBack;
  const back = moneyOf(plan.amountMinor, total.currency);
  run.tell(now, {
    ...{ what: 'refunded', offer, products, total: back, paidAt: order.paidAt.toISOString() },
    ...(plan.isWhole ? {} : { isPart: true }),
  });
  clawBack(run, order, now);
  // As `CreditNotesService.plan`.
  const topic = run.funnels.offers.get(offer)?.funnel ?? '';
  if (plan.amountMinor > 0)
    run.record.mails.push({ ...transactional('receipt', topic, now), template: CREDIT_NOTE });
  if (products.length === 0) return;
  takeBackMemberships(run, { orderId: order.id, products }, now);
  const kept = new Set(run.record.orders.flatMap((one) => (one.refunded ? [] : productsKept(one.lines))));
  const lost = products.filter((product) => !kept.has(product));
  for (const product of lost) run.record.tags.delete(boughtTag(product));
  const entryKey = `refund:${order.id} ${lost.join(' ')}`;
  for (const product of lost) happened(run, { kind: 'refunded', product }, now, { entryKey });
  lookAgain(run, now);
}

/** Of an order, those that have not gone back. */
export function productsKept(lines: readonly RefundableLine[]): string[] {
  return lines.filter(({ isTakenBack }) => !isTakenBack).map(({ id }) => id);
}

export function refundedMinor(lines: readonly RefundableLine[]): number {
  return lines.reduce((sum, line) => sum + line.refundedMinor, 0);
}

/** As `CommissionsService.clawBack`. */
function clawBack(run: VirtualRun, { commission, lines }: VirtualOrder, now: Date): void {
  if (commission === null) return;
  let lostMinor = 0;
  for (const line of commission.lines) {
    const { amountMinor = 0, refundedMinor = 0 } = lines.find(({ id }) => id === line.id) ?? {};
    const lost = clawedBackOf(line.earnedMinor, { refundedMinor, totalMinor: amountMinor }) - line.lostMinor;
    if (lost <= 0) continue;
    line.lostMinor += lost;
    lostMinor += lost;
  }
  if (lostMinor === 0) return;
  const amount = moneyOf(lostMinor, commission.currency);
  run.tell(now, { what: 'clawed back', affiliate: commission.affiliate, amount });
}

function wishOf({ lines, total }: VirtualOrder, script: RefundScript): RefundWish {
  if (script === undefined) return { kind: 'rest' };
  if (typeof script === 'string') {
    const { amountMinor, currency } = parseMoney(script);
    // As the API refuses an amount of another currency.
    return {
      kind: 'amount',
      amountMinor: currency === total.currency ? amountMinor : Number.MAX_SAFE_INTEGER,
    };
  }
  const bought = lines.filter(({ id }) => script.includes(id));
  return { kind: 'lines', lines: bought.map(({ id }) => ({ lineId: id, amountMinor: null })) };
}

function cannot({ offer, paidAt, total }: VirtualOrder, restMinor: number | null): DomainError {
  const what =
    restMinor === null
      ? 'none of the products that "refunds" names was in it'
      : `at most ${moneyToText(moneyOf(restMinor, total.currency))} can go back`;
  const message = `refunds: of the order of ${offer} at ${paidAt.toISOString()}, ${what}`;
  return new DomainError('SIMULATION_INVALID', message, { offer });
}
