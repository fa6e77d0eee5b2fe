import { addDuration } from '../values/duration.js';
import type { EmailNode } from './definition.js';

/**
 * Until when the price holds: what was promised is never taken back, so the later of what the mail says itself and what
 * an earlier one said. Past where an earlier promise is over and the mail gives no new one.
 */
export function offerExpiry(
  promised: Date | null,
  { offer, deadline }: EmailNode,
  { now, timeZone }: { now: Date; timeZone: string },
): Date | null {
  if (offer === null) return null;
  if (deadline === null) return promised;
  const own = addDuration(now, deadline, timeZone);
  return promised !== null && promised > own ? promised : own;
}
