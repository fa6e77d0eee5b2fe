import type { Agenda } from './agenda.js';
import { answerTo, timeIn, type Actor } from './persona-script.js';
import type { Purchase } from './personas.schemas.js';
import type { VirtualOrder } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { refund, type RefundScript } from './virtual-refunds.js';
import { buy } from './virtual-shop.js';
import { answerUpsell, showNext } from './virtual-upsells.js';

interface Shopper {
  agenda: Agenda;
  actor: Actor;
}

/** What the person buys at `now`, what they say to the offers after it, and what they give back. */
export function purchase(run: VirtualRun, shopper: Shopper, action: Purchase, now: Date): void {
  const offer = run.funnels.offers.get(action.buys);
  if (offer === undefined) return;
  const order = buy(run, offer, now, { withBump: action.withBump ?? false });
  giveBack(run, shopper, { order, ...action }, now);
  goOn(run, shopper, { root: order, answers: action.answers ?? [] }, now);
}

function goOn(
  run: VirtualRun,
  shopper: Shopper,
  { root, answers }: { root: VirtualOrder; answers: NonNullable<Purchase['answers']> },
  now: Date,
): void {
  const { agenda, actor } = shopper;
  const upsell = showNext(run, root, now);
  if (upsell === null) return;
  const said = answerTo(actor, answers, { orderId: root.id, offer: upsell.slug, now });
  if (said === undefined) return;
  const { answer, at } = said;
  agenda.add(at, () => {
    const order = answerUpsell(run, { root, upsell, takes: 'takes' in answer }, at);
    if (order !== null && 'takes' in answer) giveBack(run, shopper, { order, ...answer }, at);
    goOn(run, shopper, { root, answers }, at);
  });
}

function giveBack(
  run: VirtualRun,
  { agenda, actor }: Shopper,
  {
    order,
    refundsAfter,
    refunds,
  }: { order: VirtualOrder; refundsAfter?: string | undefined; refunds?: RefundScript },
  now: Date,
): void {
  if (refundsAfter === undefined) return;
  const at = timeIn(actor, refundsAfter, `refund ${order.id}`, now);
  agenda.add(at, () => refund(run, order, { script: refunds, now: at }));
}
