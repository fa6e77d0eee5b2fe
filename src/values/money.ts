import { DomainError } from './domain-error.js';

/** `amountMinor` is a safe integer in the currency's minor unit (cents, yen, fils); `currency` an ISO 4217 code. */
export interface Money {
  readonly amountMinor: number;
  readonly currency: string;
}

export const FULL_BPS = 10_000;

/**
 * ISO 4217 minor-unit digits where they are not 2. Not read from Intl: ICU follows what is printed on price tags (HUF 0,
 * IQD 0), and its answer changes between Node releases, which would change the value of every stored amount.
 */
const MINOR_DIGITS: ReadonlyMap<string, number> = new Map([
  ...'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'
    .split(' ')
    .map((code) => [code, 0] as const),
  ...'BHD IQD JOD KWD LYD OMR TND'.split(' ').map((code) => [code, 3] as const),
  ...'CLF UYW'.split(' ').map((code) => [code, 4] as const),
]);

const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));
const MONEY_TEXT = /^(0|[1-9]\d*)(?:\.(\d+))? ([A-Za-z]{3})$/;
const PERCENT_TEXT = /^(0|[1-9]\d{0,2})(?:\.(\d{1,2}))? ?%$/;
const MAX_CACHED_FORMATS = 200;

const formats = new Map<string, Intl.NumberFormat>();

/** Whether `code` is an upper-case ISO 4217 code this runtime knows. */
export function isCurrency(code: string): boolean {
  return CURRENCIES.has(code);
}

/** Digits after the decimal point: JPY 0, EUR 2, BHD 3. Throws `CURRENCY_INVALID`. */
export function minorDigits(currency: string): number {
  if (!CURRENCIES.has(currency)) {
    throw new DomainError(
      'CURRENCY_INVALID',
      `"${currency}" is not a currency: use an ISO 4217 code such as EUR, USD or JPY`,
      { currency },
    );
  }
  return MINOR_DIGITS.get(currency) ?? 2;
}

/** Checked construction; negative amounts are allowed (what a refund takes back). Throws `CURRENCY_INVALID`, `MONEY_INVALID`. */
export function moneyOf(amountMinor: number, currency: string): Money {
  minorDigits(currency);
  assertMinor(amountMinor);
  return { amountMinor, currency };
}

/**
 * Reads a price as people write it in a funnel file: `49.00 EUR`, `49 EUR`, `1500 JPY`. Missing decimals count as
 * zeros; more decimals than the currency has, signs, separators and amounts above 2^53 - 1 minor units are refused with
 * `MONEY_INVALID`.
 */
export function parseMoney(text: string): Money {
  const match = MONEY_TEXT.exec(text.trim());
  const currency = match?.[3]?.toUpperCase();
  const whole = match?.[1];
  if (whole === undefined || currency === undefined || !CURRENCIES.has(currency)) {
    throw moneyInvalid(text, 'write digits, a dot before the decimals, one space, then an ISO 4217 code');
  }
  const digits = minorDigits(currency);
  const decimals = match?.[2] ?? '';
  if (decimals.length > digits) {
    throw moneyInvalid(text, `${currency} has ${digits === 0 ? 'no' : `at most ${digits}`} decimals`);
  }
  const amountMinor = Number(whole + decimals.padEnd(digits, '0'));
  if (!Number.isSafeInteger(amountMinor)) {
    throw moneyInvalid(text, `at most ${Number.MAX_SAFE_INTEGER} minor units`);
  }
  return { amountMinor, currency };
}

/** `49.00 EUR`: always all decimals of the currency. `parseMoney` reads it back (negative amounts excepted). */
export function moneyToText(money: Money): string {
  return `${decimalText(money)} ${money.currency}`;
}

/**
 * For people, in their language: `€49.00`, `49,00 €`. A locale Intl does not understand falls back to English: a
 * subscriber's odd locale must not stop a mail.
 */
export function formatMoney(money: Money, locale: string): string {
  // Intl takes a decimal string, which stays exact where a double would round the cents of a large amount.
  return formatFor(locale, money.currency).format(decimalText(money) as `${number}`);
}

/**
 * Splits an amount by weights so that the parts sum to it exactly (largest remainder; ties go to the earlier part).
 * A negative amount splits into the mirror image of its positive, so a refund undoes what the sale did.
 * Weights are whole, not negative, and sum to more than zero, else `MONEY_WEIGHTS_INVALID`.
 */
export function allocate(amountMinor: number, weights: readonly number[]): number[] {
  assertMinor(amountMinor);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (
    !weights.every((weight) => Number.isSafeInteger(weight) && weight >= 0) ||
    !Number.isSafeInteger(total)
  ) {
    throw new DomainError('MONEY_WEIGHTS_INVALID', 'weights must be whole numbers from 0', { weights });
  }
  if (total === 0) {
    throw new DomainError('MONEY_WEIGHTS_INVALID', 'weights need at least one above 0', { weights });
  }
  const sign = amountMinor < 0 ? -1 : 1;
  const amount = BigInt(Math.abs(amountMinor));
  const parts = weights.map((weight, index) => {
    const scaled = amount * BigInt(weight);
    return { index, minor: scaled / BigInt(total), remainder: scaled % BigInt(total) };
  });
  const given = parts.reduce((sum, part) => sum + part.minor, 0n);
  const byRemainder = parts.toSorted((a, b) =>
    a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
  );
  for (const part of byRemainder.slice(0, Number(amount - given))) part.minor += 1n;
  // `|| 0` keeps a mirrored zero from becoming -0.
  return parts.map((part) => sign * Number(part.minor) || 0);
}

/**
 * The price after a discount of `bps` basis points (0 to 10000) on a price that is not negative. The discount is
 * rounded to the nearest minor unit and a half goes to the buyer, so the shop never takes off less than it advertised
 * by half a unit or more.
 */
export function applyDiscountBps(amountMinor: number, bps: number): number {
  assertMinor(amountMinor);
  assertBps(bps);
  if (amountMinor < 0) throw moneyInvalid(String(amountMinor), 'a price to discount is 0 or more');
  const discount = (BigInt(amountMinor) * BigInt(bps) + BigInt(FULL_BPS / 2)) / BigInt(FULL_BPS);
  return amountMinor - Number(discount);
}

/** `30%` → 3000, `12.5%` → 1250. From 0% to 100% with two decimals at most, else `PERCENT_INVALID`. */
export function parsePercentBps(text: string): number {
  const match = PERCENT_TEXT.exec(text.trim());
  const bps = match ? Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0')) : Number.NaN;
  if (!(bps <= FULL_BPS)) {
    throw new DomainError(
      'PERCENT_INVALID',
      `"${text}" is not a percentage: write 0% to 100% with two decimals at most, such as 30% or 12.5%`,
      { value: text },
    );
  }
  return bps;
}

/** 3000 → `30%`, 1250 → `12.5%`; the inverse of `parsePercentBps`. */
export function bpsToText(bps: number): string {
  assertBps(bps);
  const decimals = String(bps % 100)
    .padStart(2, '0')
    .replace(/0{1,2}$/, '');
  return `${Math.floor(bps / 100)}${decimals === '' ? '' : `.${decimals}`}%`;
}

function decimalText(money: Money): string {
  assertMinor(money.amountMinor);
  const digits = minorDigits(money.currency);
  const sign = money.amountMinor < 0 ? '-' : '';
  const minor = String(Math.abs(money.amountMinor)).padStart(digits + 1, '0');
  return digits === 0 ? sign + minor : `${sign}${minor.slice(0, -digits)}.${minor.slice(-digits)}`;
}

function formatFor(locale: string, currency: string): Intl.NumberFormat {
  const key = `${locale} ${currency}`;
  const known = formats.get(key);
  if (known) return known;
  const digits = minorDigits(currency);
  const format = new Intl.NumberFormat(knownLocale(locale), {
    style: 'currency',
    currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  // Locales come from subscribers, so the cache has an end.
  if (formats.size >= MAX_CACHED_FORMATS) formats.clear();
  formats.set(key, format);
  return format;
}

function knownLocale(locale: string): string {
  try {
    return Intl.NumberFormat.supportedLocalesOf(locale)[0] ?? 'en';
  } catch {
    return 'en';
  }
}

function assertMinor(amountMinor: number): void {
  if (!Number.isSafeInteger(amountMinor)) {
    throw moneyInvalid(String(amountMinor), 'an amount is a whole number of minor units up to 2^53 - 1');
  }
}

function assertBps(bps: number): void {
  if (!Number.isInteger(bps) || bps < 0 || bps > FULL_BPS) {
    throw new DomainError(
      'PERCENT_INVALID',
      `${bps} is not a rate: use whole basis points from 0 to ${FULL_BPS}`,
      {
        bps,
      },
    );
  }
}

function moneyInvalid(value: string, allowed: string): DomainError {
  return new DomainError('MONEY_INVALID', `"${value}" is not an amount: ${allowed}, such as 49.00 EUR`, {
    value,
  });
}

/** By how many basis points a price lies below the full one. */
export function discountOf({ amountMinor }: Money, full: Money): number {
  return full.amountMinor === 0 ? 0 : Math.round((1 - amountMinor / full.amountMinor) * 10_000);
}
