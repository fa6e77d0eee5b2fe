import type { BroadcastOffer } from '../../broadcasts/broadcast-offer.js';

/** What was typed, as `BroadcastTyped`. */
type Typed = Record<string, string[]>;

/** The fields of what a broadcast offers, and with `prefix` those of an arm, such as `arms.1.`. */
export function offerTyped(offer: BroadcastOffer | null | undefined, prefix = ''): Typed {
  return {
    [`${prefix}offer`]: [offer?.key ?? ''],
    [`${prefix}discount`]: [offer?.discount ?? ''],
    [`${prefix}until`]: [offer?.until ?? ''],
  };
}

/** Undefined where nothing was said; without a key where only the rest was, so that the schema asks for it. */
export function offerOf(typed: Typed, prefix = ''): Record<string, unknown> | undefined {
  const one = (name: string): string | undefined => typed[prefix + name]?.[0] || undefined;
  const [key, discount, until] = [one('offer'), one('discount'), one('until')];
  if (key === undefined && discount === undefined && until === undefined) return undefined;
  return {
    key: key ?? '',
    // The sign may be left out where it can only be meant.
    ...(discount === undefined ? {} : { discount: /^[\d.]+$/.test(discount) ? `${discount}%` : discount }),
    ...(until === undefined ? {} : { until: instantTyped(until) }),
  };
}

/** `2026-03-05 18:00` is UTC, as all times of these pages; with an offset of its own it is what it says. */
function instantTyped(text: string): string {
  const [, day, time] = /^\s*(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})\s*$/.exec(text) ?? [];
  return day === undefined ? text : `${day}T${time}:00Z`;
}

/** What the page prints of them. `chosen`: the offers to choose from, with what was chosen. */
export function offerFields(
  { field, chosen }: { field: (name: string, label: string) => object; chosen: (name: string) => object[] },
  prefix = '',
): object {
  return {
    name: `${prefix}offer`,
    offers: chosen(`${prefix}offer`),
    discount: field(`${prefix}discount`, 'Discount for these readers'),
    until: field(`${prefix}until`, 'Until (UTC)'),
  };
}
