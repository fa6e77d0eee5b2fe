import type { Order } from '../../orders/order.js';
import type { RefundRequest } from '../../orders/refunds/refund.js';
import { DomainError } from '../../values/domain-error.js';
import { type Money, moneyOf, moneyToText, parseMoney } from '../../values/money.js';
import { typedTexts } from '../forms/typed-text.js';

const MAX_CHARS = 500;
const KINDS = ['rest', 'amount', 'lines'] as const;

/** What stands in the form that refunds an order; `lines` are ids, `seen` what had gone back when the page was sent. */
export interface RefundTyped {
  kind: (typeof KINDS)[number] | '';
  amount: string;
  lines: string[];
  reason: string;
  seen: string;
}

export const NOTHING_TYPED: RefundTyped = { kind: '', amount: '', lines: [], reason: '', seen: '' };

/** The fields of a POST; a line is chosen by a field `line.ID`. */
export function refundTypedFrom(body: unknown, { lines }: Pick<Order, 'lines'>): RefundTyped {
  const get = typedTexts(body, MAX_CHARS);
  return {
    kind: KINDS.find((kind) => kind === get('kind')) ?? '',
    amount: get('amount'),
    lines: lines.map(({ id }) => id).filter((id) => get(`line.${id}`) !== ''),
    reason: get('reason'),
    seen: get('seen'),
  };
}

export type RefundErrors = Partial<Record<'kind' | 'amount' | 'lines' | 'form', string>>;

/** The refund that the form asks for, or what is wrong at which field. */
export function refundRequestOf(
  typed: RefundTyped,
  order: Order,
): { request: RefundRequest } | { errors: RefundErrors } {
  const common = { reason: typed.reason || null, seenMinor: Number(typed.seen) };
  if (!/^\d{1,16}$/.test(typed.seen))
    return { errors: { form: 'Open this page again, then send the form.' } };
  switch (typed.kind) {
    case '':
      return { errors: { kind: 'choose what goes back' } };
    case 'rest':
      return { request: common };
    case 'lines':
      if (typed.lines.length === 0) return { errors: { lines: 'choose at least one product' } };
      return { request: { ...common, lines: typed.lines.map((lineId) => ({ lineId })) } };
    case 'amount': {
      const amount = amountOf(typed.amount, order);
      return typeof amount === 'string' ? { errors: { amount } } : { request: { ...common, amount } };
    }
  }
}

/** What the page of an order shows of it, and what is left to go back. */
export function refundView(order: Order): { rest: Money; lines: { id: string; rest: Money }[] } {
  const { total, refunded, lines } = order;
  return {
    rest: moneyOf(total.amountMinor - refunded.amountMinor, total.currency),
    lines: lines.map(({ id, amount, refunded: back }) => ({
      id,
      rest: moneyOf(amount.amountMinor - back.amountMinor, total.currency),
    })),
  };
}

/** `10.00` or `10.00 EUR`: of the order's currency, above zero and at most what is left. A text says what is wrong. */
function amountOf(typed: string, order: Order): Money | string {
  const { currency } = order.total;
  const { rest } = refundView(order);
  const allowed = `write an amount in ${currency} of at most ${moneyToText(rest)}, such as ${moneyToText(rest)}`;
  try {
    const amount = parseMoney(/[a-z]/i.test(typed) ? typed : `${typed} ${currency}`);
    const fits = amount.amountMinor > 0 && amount.amountMinor <= rest.amountMinor;
    return fits && amount.currency === currency ? amount : allowed;
  } catch (error) {
    if (error instanceof DomainError) return allowed;
    throw error;
  }
}
