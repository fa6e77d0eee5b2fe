import { allocate, type Money } from '../../values/money.js';

/** A line of a paid order and what has gone back of it, in minor units. */
export interface RefundableLine {
  id: string;
  amountMinor: number;
  refundedMinor: number;
  isTakenBack: boolean;
}

/** What is to go back: all that is left, an amount of the whole order, or amounts of lines; a line's null: all that is left of it. */
export type RefundWish =
  | { kind: 'rest' }
  | { kind: 'amount'; amountMinor: number }
  | { kind: 'lines'; lines: readonly { lineId: string; amountMinor: number | null }[] };

/** Nothing named: all that is left. Amounts have the order's currency. */
export interface RefundRequest {
  reason?: string | null | undefined;
  amount?: Money | undefined;
  lines?: readonly { lineId: string; amount?: Money | undefined }[] | undefined;
  /** Names the refund: told once more under the same key, it is the same one. */
  key?: string | undefined;
  /** Only if so much had gone back before, as the page showed it that sends the form. */
  seenMinor?: number | undefined;
}

export interface RefundPlan {
  amountMinor: number;
  /** Above zero each; they sum to the amount. */
  parts: { lineId: string; amountMinor: number }[];
  /** Lines whose product goes back with the money. */
  takenBack: string[];
  /** Nothing of the order is left, neither money nor product. */
  isWhole: boolean;
}

/** `restMinor`: the most that could go back, of the order or of the line. */
export type RefundRefusal =
  | { refusal: 'unknown-line'; lineId: string }
  | { refusal: 'too-much'; lineId: string | null; restMinor: number }
  | { refusal: 'nothing' };

/**
 * How a refund falls on the lines of an order. An amount of the whole order is spread by what is left of each line, exact
 * to the minor unit. The product of a line goes back with the rest of the order, or with all that is left of a line that is
 * named, which may be nothing: what a discount made free is taken back by its name, not because another line was. An amount
 * is money alone, as for a complaint, and leaves the buyer what they bought, were it all they have paid.
 */
export function refundOf(lines: readonly RefundableLine[], wish: RefundWish): RefundPlan | RefundRefusal {
  const asked = partsOf(lines, wish);
  if (!Array.isArray(asked)) return asked;
  const back = new Map(asked.map(({ lineId, amountMinor }) => [lineId, amountMinor]));
  const amountMinor = sumOf(asked.map((part) => part.amountMinor));
  const isLeft = (line: RefundableLine): boolean => restOf(line) > (back.get(line.id) ?? 0);
  const kept = lines.filter(({ isTakenBack }) => !isTakenBack);
  const takenBack = kept.filter((line) => isNamed(line, wish) && !isLeft(line)).map(({ id }) => id);
  if (amountMinor === 0 && takenBack.length === 0) return { refusal: 'nothing' };
  return {
    ...{ amountMinor, takenBack },
    parts: asked.filter((part) => part.amountMinor > 0),
    isWhole: takenBack.length === kept.length,
  };
}

/** A text that is the same for the same wish, in whatever order its lines are named. */
export function wishText(wish: RefundWish): string {
  switch (wish.kind) {
    case 'rest':
      return 'rest';
    case 'amount':
      return `amount ${wish.amountMinor}`;
    case 'lines': {
      const parts = wish.lines.map(({ lineId, amountMinor }) => `${lineId}=${amountMinor ?? 'rest'}`);
      return `lines ${parts.toSorted().join(' ')}`;
    }
  }
}

function isNamed({ id }: RefundableLine, wish: RefundWish): boolean {
  if (wish.kind === 'lines') return wish.lines.some(({ lineId }) => lineId === id);
  return wish.kind === 'rest';
}

function partsOf(lines: readonly RefundableLine[], wish: RefundWish): RefundPlan['parts'] | RefundRefusal {
  if (wish.kind === 'lines') return partsOfLines(lines, wish.lines);
  const rests = lines.map(restOf);
  const restMinor = sumOf(rests);
  const amountMinor = wish.kind === 'rest' ? restMinor : wish.amountMinor;
  if (amountMinor > restMinor) return { refusal: 'too-much', lineId: null, restMinor };
  if (amountMinor === 0) return [];
  const shares = allocate(amountMinor, rests);
  return lines.map(({ id }, index) => ({ lineId: id, amountMinor: shares[index] ?? 0 }));
}

function partsOfLines(
  lines: readonly RefundableLine[],
  wished: readonly { lineId: string; amountMinor: number | null }[],
): RefundPlan['parts'] | RefundRefusal {
  const parts: RefundPlan['parts'] = [];
  for (const { lineId, amountMinor } of wished) {
    const line = lines.find(({ id }) => id === lineId);
    if (line === undefined) return { refusal: 'unknown-line', lineId };
    const restMinor = restOf(line);
    if (amountMinor !== null && amountMinor > restMinor) return { refusal: 'too-much', lineId, restMinor };
    parts.push({ lineId, amountMinor: amountMinor ?? restMinor });
  }
  return parts;
}

function restOf({ amountMinor, refundedMinor }: RefundableLine): number {
  return amountMinor - refundedMinor;
}

function sumOf(amounts: readonly number[]): number {
  return amounts.reduce((sum, amount) => sum + amount, 0);
}
