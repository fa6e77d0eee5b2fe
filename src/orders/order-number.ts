/** Ids as they are after a backup was restored, which have 16 digits. No count of orders comes here. */
const MOVED_ON = 10n ** 12n;

/**
 * What people quote: `WS-2026-000123`. The year is that of the order in UTC; the number is the row's id, so numbers
 * rise and never repeat, and may skip (an order that was rolled back). More than six digits simply grow longer, until a
 * restored backup has moved ids on: from then on it is ten digits and letters, `WS-2026-HOQGTSWPDN`, of which the first is
 * a letter for as long as anybody will count.
 */
export function orderNumber(id: string, createdAt: Date): string {
  const isMoved = BigInt(id) >= MOVED_ON;
  const number = isMoved ? BigInt(id).toString(36).toUpperCase() : id.padStart(6, '0');
  return `WS-${createdAt.getUTCFullYear()}-${number}`;
}
