/**
 * What people quote: `WS-2026-000123`. The year is that of the order in UTC; the number is the row's id, so numbers
 * rise and never repeat, and may skip (an order that was rolled back). More than six digits simply grow longer.
 */
export function orderNumber(id: string, createdAt: Date): string {
  return `WS-${createdAt.getUTCFullYear()}-${id.padStart(6, '0')}`;
}
