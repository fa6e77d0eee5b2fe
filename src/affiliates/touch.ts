import { addDuration, parseDuration } from '../values/duration.js';
import { decodeIds, signIds, verifyToken } from '../values/signed-token.js';

/** Somebody came by an affiliate's link. */
export interface Touch {
  affiliateId: string;
  at: Date;
}

/** By the browser of the checkout, or by somebody who is known. */
export type OrderTouch = Touch & { via: 'checkout' | 'subscriber' };

/** Which of the clicks whose window is open earns by an order. */
export const ATTRIBUTIONS = ['last', 'first'] as const;
export type Attribution = (typeof ATTRIBUTIONS)[number];

const PURPOSE = 'referral';
const ID_BYTES = 8;
/** A cookie stays small: of more clicks than these the oldest and the newest are kept. */
export const MAX_TOUCHES = 12;

/** The content of the cookie: whose links they were and when, signed. */
export function writeTouches(secret: Buffer, touches: readonly Touch[]): string {
  const ids = touches.flatMap(({ affiliateId, at }) => [affiliateId, String(at.getTime())]);
  return signIds(secret, PURPOSE, ids);
}

/** Oldest first; none for a cookie that is none of ours. */
export function readTouches(secret: Buffer, cookie: string | undefined): Touch[] {
  const payload = cookie === undefined ? null : verifyToken(secret, PURPOSE, cookie);
  if (payload === null) return [];
  const ids = decodeIds(payload, payload.length / ID_BYTES) ?? [];
  if (ids.length % 2 !== 0 || ids.length > 2 * MAX_TOUCHES) return [];
  return Array.from({ length: ids.length / 2 }, (_, index) => ({
    affiliateId: ids[2 * index] ?? '',
    at: new Date(Number(ids[2 * index + 1])),
  }));
}

/**
 * What a browser remembers after one more click: those whose window, the longest of these, is open yet. Of a run of clicks on
 * one affiliate's links the first and the last say whose it was at any time.
 */
export function withTouch(touches: readonly Touch[], touch: Touch, windows: readonly string[]): Touch[] {
  const isOpen = (one: Touch): boolean => windows.some((window) => endOfTouch(one, window) > touch.at);
  const open = touches.filter(isOpen);
  const isRun =
    open.length > 1 && open.slice(-2).every(({ affiliateId }) => affiliateId === touch.affiliateId);
  const kept = open.slice(0, isRun ? -1 : open.length).slice(0, MAX_TOUCHES - 1);
  return [...kept, touch];
}

/** When a touch stops counting, by a window such as `60 days`. */
export function endOfTouch({ at }: Touch, window: string): Date {
  return addDuration(at, parseDuration(window), 'UTC');
}

/** Of some touches that which was last, and the others. */
export function lastTouch(first: Touch, others: readonly Touch[]): { touch: Touch; earlier: Touch[] } {
  const touch = others.reduce((last, one) => (one.at > last.at ? one : last), first);
  return { touch, earlier: [first, ...others].filter((one) => one !== touch) };
}

/** The last touch before `at`, or the first, whose window is open then; null when there is none. */
export function creditedTouch<T extends Touch>(
  touches: readonly T[],
  { at, window, attribution }: { at: Date; window: string; attribution: Attribution },
): T | null {
  const open = touches.filter((touch) => touch.at <= at && endOfTouch(touch, window) > at);
  const oldestFirst = open.toSorted((one, other) => one.at.getTime() - other.at.getTime());
  return (attribution === 'first' ? oldestFirst[0] : oldestFirst.at(-1)) ?? null;
}
