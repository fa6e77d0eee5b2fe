/** What tells whether a mail may wait for its hours. */
export interface WaitingMail {
  broadcastId: string | null;
  expiresAt?: Date | null;
}

/** As behind a pause: others open with it, and it is to be sent before it ends. */
const MARGIN_MS = 300_000;

/**
 * Whether a mail of a broadcast would be of no use any more when its hours open: better at another hour than never, as behind
 * a pause. A step's ends with its hours, which its owner gave it beside its end.
 */
export function expiresBeforeHours(until: Date, { broadcastId, expiresAt = null }: WaitingMail): boolean {
  return broadcastId !== null && expiresAt !== null && expiresAt.getTime() - MARGIN_MS <= until.getTime();
}
