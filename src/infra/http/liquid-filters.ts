import type { FilterImplOptions, Liquid } from 'liquidjs';
import { DateTime } from 'luxon';
import { formatMoney, type Money } from '../../values/money.js';

/** What is shown where there is no value; not a zero, which would be a claim. */
const NOTHING = '–';
const FALLBACK_LOCALE = 'en';

const integers = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

/** Adds the filters that pages and mails share: `money`, `datetime`, `percent`, `number`. */
export function registerLiquidFilters(liquid: Liquid): void {
  liquid.registerFilter('money', moneyFilter);
  liquid.registerFilter('datetime', formatInstant);
  liquid.registerFilter('percent', formatRatio);
  liquid.registerFilter('number', formatNumber);
}

const moneyFilter: FilterImplOptions = function (this, value: unknown, locale?: unknown) {
  if (!isMoney(value)) return NOTHING;
  const wanted = locale ?? this.context.getSync(['locale']);
  return formatMoney(value, typeof wanted === 'string' && wanted !== '' ? wanted : FALLBACK_LOCALE);
};

/** `Tue 24 Nov 2026, 09:30 UTC`; in `zone` (IANA) with its abbreviation. An unknown zone falls back to UTC. */
function formatInstant(value: unknown, zone: unknown = 'UTC'): string {
  const instant =
    value instanceof Date ? DateTime.fromJSDate(value) : DateTime.fromISO(String(value), { zone: 'UTC' });
  if (!instant.isValid) return NOTHING;
  const zoned = instant.setZone(String(zone));
  const shown = (zoned.isValid ? zoned : instant.setZone('UTC')).setLocale('en-GB');
  return `${shown.toFormat('ccc d LLL yyyy, HH:mm')} ${shown.offsetNameShort ?? 'UTC'}`;
}

/** A ratio from 0 to 1 as `12.3 %`. */
function formatRatio(value: unknown): string {
  return typeof value === 'number' && Number.isFinite(value) ? `${(value * 100).toFixed(1)} %` : NOTHING;
}

/** With thousands separators: `12,345`. Accepts the strings PostgreSQL gives for bigint. */
function formatNumber(value: unknown): string {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? integers.format(number) : NOTHING;
}

function isMoney(value: unknown): value is Money {
  return (
    typeof value === 'object' &&
    value !== null &&
    'amountMinor' in value &&
    'currency' in value &&
    typeof value.amountMinor === 'number' &&
    typeof value.currency === 'string'
  );
}
