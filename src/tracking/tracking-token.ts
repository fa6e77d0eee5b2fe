import { decodeIds, encodeIds, signIds, signToken, verifyToken } from '../values/signed-token.js';

const STATIC = 'click';
/** For links that differ from person to person: the address travels in the token, signed, so it stays no open redirect. */
const PERSONAL = 'click-url';
const OPEN = 'open';
const IDS_BYTES = 16;
/** Ids and MAC in base64url. A personal one is longer. */
const STATIC_CHARS = 43;

export interface ClickTarget {
  messageId: string;
  linkId: string;
  /** Set when the link is personal; else the link's own address counts. */
  url: string | null;
}

/** `url` only for a personal link. */
export function clickToken(secret: Buffer, { messageId, linkId, url }: ClickTarget): string {
  const ids = [messageId, linkId];
  return url === null
    ? signIds(secret, STATIC, ids)
    : signToken(secret, PERSONAL, Buffer.concat([encodeIds(ids), Buffer.from(url)]));
}

/** Null for anything this installation did not sign. */
export function readClickToken(secret: Buffer, token: string): ClickTarget | null {
  const isStatic = token.length === STATIC_CHARS;
  const payload = verifyToken(secret, isStatic ? STATIC : PERSONAL, token);
  const ids = payload === null ? null : decodeIds(isStatic ? payload : payload.subarray(0, IDS_BYTES), 2);
  if (!payload || !ids?.[0] || !ids[1]) return null;
  const url = isStatic ? null : Buffer.from(payload.subarray(IDS_BYTES)).toString('utf8');
  return { messageId: ids[0], linkId: ids[1], url };
}

export function openToken(secret: Buffer, messageId: string): string {
  return signIds(secret, OPEN, [messageId]);
}

/** The message's id, or null. */
export function readOpenToken(secret: Buffer, token: string): string | null {
  const payload = verifyToken(secret, OPEN, token);
  return payload === null ? null : (decodeIds(payload, 1)?.[0] ?? null);
}
