/** What tells whether a mail may wait for its hours. */
export interface WaitingMail {
  broadcastId: string | null;
  expiresAt?: Date | null;
}

/**
 * Whether a mail of a broadcast would be of no use any more when its hours open: better at another hour than never, as behind
 * a pause. A step's ends with its hours, which its owner gave it beside its end.
 */
export function isOverBefore(until: Date, { broadcastId, expiresAt = null }: WaitingMail): boolean {
  return broadcastId !== null && expiresAt !== null && expiresAt <= until;
}
