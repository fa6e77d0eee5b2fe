import { addDuration, parseDuration } from '../values/duration.js';
import { decodeIds, encodeIds, signToken, verifyToken } from '../values/signed-token.js';

/** Somebody came by an affiliate's link. */
export interface Touch {
  affiliateId: string;
  at: Date;
}

const PURPOSE = 'referral';

/** The content of the cookie: whose link it was and when, signed. */
export function writeTouch(secret: Buffer, { affiliateId, at }: Touch): string {
  return signToken(secret, PURPOSE, encodeIds([affiliateId, String(at.getTime())]));
}

/** Null for a cookie that is none of ours. */
export function readTouch(secret: Buffer, cookie: string | undefined): Touch | null {
  const payload = cookie === undefined ? null : verifyToken(secret, PURPOSE, cookie);
  const [affiliateId, at] = (payload === null ? null : decodeIds(payload, 2)) ?? [];
  return affiliateId === undefined || at === undefined ? null : { affiliateId, at: new Date(Number(at)) };
}

/** When a touch stops counting, by a window such as `60 days`. */
export function endOfTouch({ at }: Touch, window: string): Date {
  return addDuration(at, parseDuration(window), 'UTC');
}

/** The last touch before `at` whose window is open then; null when there is none. */
export function lastTouch<T extends Touch>(
  touches: readonly T[],
  { at, window }: { at: Date; window: string },
): T | null {
  const open = touches.filter((touch) => touch.at <= at && endOfTouch(touch, window) > at);
  return open.toSorted((one, other) => other.at.getTime() - one.at.getTime())[0] ?? null;
}
