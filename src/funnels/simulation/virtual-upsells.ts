import { UPSELL_MS } from '../../orders/order-token.js';
import { nextOffer, type Offered } from '../../orders/upsells/upsell.js';
import { ownsVirtually } from './virtual-facts.js';
import type { VirtualOrder, VirtualRecord } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import type { VirtualOffer } from './virtual-sequences.js';
import { pay, priceOf } from './virtual-shop.js';

/**
 * As `UpsellsService.nextPath` and the page it leads to: what the buyer of the first order `root` is shown now. Null when
 * there is nothing more, which leads to the order.
 */
export function showNext(run: VirtualRun, root: VirtualOrder, now: Date): Offered | null {
  const { offers } = run.funnels;
  if (root.refunded || now.getTime() >= root.paidAt.getTime() + UPSELL_MS) return null;
  for (;;) {
    const bought = offers.get(root.upsells.findLast(({ paid }) => paid)?.slug ?? root.offer);
    const next = nextOffer(root.upsells, {
      upsell: bought?.upsell ?? null,
      downsell: bought?.downsell ?? null,
    });
    if (next.kind === 'none') return null;
    if (next.kind === 'open') {
      const open = root.upsells.find(({ id }) => id === next.id);
      if (open === undefined || onOffer(run.record, offers.get(open.slug), now)) return open ?? null;
      open.answer = 'withdrawn';
      continue;
    }
    const first = next.candidates.find(({ slug }) => onOffer(run.record, offers.get(slug), now));
    const offer = offers.get(first?.slug ?? '');
    if (first === undefined || offer === undefined) return null;
    const shown: Offered = { id: String(root.upsells.length + 1), ...first, answer: null, paid: false };
    root.upsells.push(shown);
    const { price } = priceOf(run, offer, root.byMail, now);
    run.tell(now, { what: 'shown', kind: first.kind, offer: first.slug, price });
    return shown;
  }
}

/** As the button of that page. Returns the order, which is paid at once; null when there is none. */
export function answerUpsell(
  run: VirtualRun,
  { root, upsell, takes }: { root: VirtualOrder; upsell: Offered; takes: boolean },
  now: Date,
): VirtualOrder | null {
  const over = (reason: 'expired' | 'owned' | 'refunded'): null => {
    run.tell(now, { what: 'over', offer: upsell.slug, reason });
    return null;
  };
  if (upsell.answer !== null) return null;
  if (root.refunded) return over('refunded');
  if (now.getTime() >= root.paidAt.getTime() + UPSELL_MS) return over('expired');
  if (!takes) {
    upsell.answer = 'declined';
    run.tell(now, { what: 'declined', offer: upsell.slug });
    return null;
  }
  const offer = run.funnels.offers.get(upsell.slug);
  if (offer === undefined || !onOffer(run.record, offer, now)) return over('owned');
  Object.assign(upsell, { answer: 'taken', paid: true });
  return pay(run, { offer, byMail: root.byMail, upsell: upsell.kind }, now);
}

/** Nobody is shown what they own. */
function onOffer(record: VirtualRecord, offer: VirtualOffer | undefined, now: Date): boolean {
  return offer !== undefined && !ownsVirtually(record, offer.product.key, now);
}
