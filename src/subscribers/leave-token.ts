import { decodeIds, verifyToken } from '../values/signed-token.js';

/** `unsubscribe` only ever stops mails. It reads nothing and edits nothing: mailbox providers and forwarded mails hold it. */
export type LeavePurpose = 'unsubscribe' | 'preferences';

export interface LeaveTicket {
  /** `0` for a mail to nobody in particular. */
  subscriberId: string;
  messageId: string;
}

/** What a link in a mail of ours says, by its signature alone; null for a link we did not write. */
export function readLeaveToken(secret: Buffer, purpose: LeavePurpose, token: string): LeaveTicket | null {
  const payload = verifyToken(secret, purpose, token);
  const [subscriberId, messageId] = (payload === null ? null : decodeIds(payload, 2)) ?? [];
  return subscriberId === undefined || messageId === undefined ? null : { subscriberId, messageId };
}
