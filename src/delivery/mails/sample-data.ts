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

/** Stands in for what a real mail of the kind gets beside subscriber and sender, as long as real values are. */
export function sampleData(kind: MailKind, baseUrl: string, now: Date): Record<string, unknown> {
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
