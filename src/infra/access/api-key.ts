import { randomBytes, timingSafeEqual } from 'node:crypto';
import { sha256 } from '../../values/sha256.js';

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const PREFIX_LENGTH = 8;
/** 256 bits: nothing slower than SHA-256 is needed to keep them from being guessed. */
const SECRET_BYTES = 32;
const KEY_TEXT = /^ws_([a-z2-7]{8})_([A-Za-z0-9_-]{43})$/;

export interface NewApiKey {
  /** The whole key as its owner gets it, once: `ws_<prefix>_<secret>`. */
  text: string;
  /** Not secret: finds the row, and tells keys apart in lists. */
  prefix: string;
  secretHash: Buffer;
}

export function makeApiKey(): NewApiKey {
  const prefix = Array.from(randomBytes(PREFIX_LENGTH), (byte) => BASE32.charAt(byte % BASE32.length)).join(
    '',
  );
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  return { text: `ws_${prefix}_${secret}`, prefix, secretHash: sha256(secret) };
}

/** `null` for a text that cannot be a key. */
export function readApiKey(text: string): { prefix: string; secretHash: Buffer } | null {
  const [, prefix, secret] = KEY_TEXT.exec(text) ?? [];
  return prefix === undefined || secret === undefined ? null : { prefix, secretHash: sha256(secret) };
}

/** Compares in a time that tells nothing about where the two differ. */
export function isSameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
