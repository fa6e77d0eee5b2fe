import type { MailKind } from './template-variables.js';
import { DAY_MS } from '../../values/time-units.js';

/** Whom samples are written to. */
export const SAMPLE_READER = { email: 'reader@example.com', name: 'Grace Hopper', fields: {} };

const EUR = (amountMinor: number): { amountMinor: number; currency: string } => ({
  amountMinor,
  currency: 'EUR',
});
const MEMBER_DAYS_MS = 365 * DAY_MS;
const DAYS_LEFT_MS = 3 * DAY_MS;

/**
 * Stands in for what a real mail of the kind gets beside subscriber and sender, as long as real values are. `names`: the variables
 * that it uses; what a program would give for them only it knows.
 */
export function sampleData(
  kind: MailKind,
  baseUrl: string,
  now: Date,
  names: readonly string[] = [],
): Record<string, unknown> {
  if (kind === 'api') return { data: madeUp(names, baseUrl) };
  const token = 'A'.repeat(40);
  const download = { url: `${baseUrl}/download/${token}`, name: 'guide.pdf' };
  if (kind === 'confirmation')
    return { confirmUrl: `${baseUrl}/confirm/${token}`, form: { headline: 'Your guide' } };
  if (kind === 'sequence') return { download };
  if (kind === 'offer')
    return {
      download,
      offer: {
        slug: 'launch-kit',
        title: 'Launch Kit',
        price: EUR(3_430),
        fullPrice: EUR(4_900),
        discountBps: 3_000,
        discount: 0.3,
        expiresAt: new Date(now.getTime() + DAYS_LEFT_MS).toISOString(),
      },
    };
  return {
    order: {
      number: 'W-2026-000123',
      total: EUR(3_430),
      lines: [{ name: 'Launch Kit', amount: EUR(3_430) }],
      downloads: [download],
      licences: [{ product: 'Launch Kit', key: 'ABCDE-FGHJK-MNPQR-STUVW' }],
      memberships: [{ product: 'Launch Kit', until: new Date(now.getTime() + MEMBER_DAYS_MS).toISOString() }],
      url: `${baseUrl}/orders/${token}`,
    },
  };
}

/** A value for each `data.…` among the names: a page of ours for what seems to be an address. */
function madeUp(names: readonly string[], baseUrl: string): Record<string, unknown> {
  const data: Record<string, unknown> = {};
  for (const name of names.filter((one) => one.startsWith('data.') && !one.includes('__proto__'))) {
    const path = name.split('.').slice(1);
    const last = path.pop() ?? '';
    let inner = data;
    for (const part of path) inner = objectAt(inner, part);
    inner[last] ??= /url|link|href/i.test(last) ? baseUrl : 'example';
  }
  return data;
}

function objectAt(data: Record<string, unknown>, key: string): Record<string, unknown> {
  const known = data[key];
  if (typeof known === 'object' && known !== null) return known as Record<string, unknown>;
  const made = {};
  data[key] = made;
  return made;
}
