import { moneyOf, type Money } from '../values/money.js';

/** The amount of a checkout: the offer's price, and the bump's full price when it is taken. Same currency. */
export function checkoutTotal(price: Money, bumpPrice: Money | null): Money {
  return moneyOf(price.amountMinor + (bumpPrice?.amountMinor ?? 0), price.currency);
}

/**
 * Whether the visitor may order at `price`. `seenMinor` is the price the form was shown with, null for a caller that
 * did not come from our form. Nobody is charged more than they saw: a deadline that passed while the form stood open
 * sends it back once, with the price that holds now. `seenMinor` never lowers a price.
 */
export function priceStillHolds(price: Money, seenMinor: number | null, expired: boolean): boolean {
  return seenMinor === null ? !expired : price.amountMinor <= seenMinor;
}
