import * as crypto from 'node:crypto';

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
const LONGEST_TEXT_BYTES = 2_048;

interface KeyBlocks {
  /** Inner block, then room for the text. */
  inner: Buffer;
  /** The beginnings of `inner` by their length, as they are asked for: a new view for each hash is garbage. */
  innerUpTo: (Buffer | undefined)[];
  /** Outer block, then room for the inner digest. */
  outer: Buffer;
}

const blocksOf = new WeakMap<Buffer, KeyBlocks>();

const NOTHING = new Uint8Array();

/**
 * HMAC-SHA-256 (RFC 2104) of a UTF-8 text and the bytes behind it under `secret`, the same as `createHmac` gives. For the
 * places that make millions: two one-shot hashes leave no native object behind for each, and as text they leave no memory
 * outside the heap either, which more than halves the time. The secret's bytes must not change afterwards.
 */
export function hmacSha256(secret: Buffer, text: string, bytes: Uint8Array = NOTHING): Buffer {
  return Buffer.from(hmacSha256Text(secret, text, bytes), 'latin1');
}

/** The same with one character for each byte: half the cost for those who only compare it; or in hexadecimal digits. */
export function hmacSha256Text(
  secret: Buffer,
  text: string,
  bytes: Uint8Array = NOTHING,
  encoding: 'binary' | 'hex' = 'binary',
): string {
  const { inner, innerUpTo, outer } = keyBlocks(secret);
  // UTF-8 takes at most three bytes for a UTF-16 unit.
  if (text.length * 3 + bytes.length > LONGEST_TEXT_BYTES)
    return crypto.createHmac('sha256', secret).update(text).update(bytes).digest(encoding);
  const bytesAt = BLOCK_BYTES + inner.write(text, BLOCK_BYTES);
  inner.set(bytes, bytesAt);
  const length = bytesAt + bytes.length;
  const upTo = (innerUpTo[length] ??= inner.subarray(0, length));
  outer.write(crypto.hash('sha256', upTo, 'binary'), BLOCK_BYTES, 'latin1');
  return crypto.hash('sha256', outer, encoding);
}

function keyBlocks(secret: Buffer): KeyBlocks {
  const known = blocksOf.get(secret);
  if (known) return known;
  const key = secret.length > BLOCK_BYTES ? crypto.createHash('sha256').update(secret).digest() : secret;
  const made: KeyBlocks = {
    inner: Buffer.alloc(BLOCK_BYTES + LONGEST_TEXT_BYTES),
    innerUpTo: [],
    outer: Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES),
  };
  for (let place = 0; place < BLOCK_BYTES; place++) {
    made.inner[place] = (key[place] ?? 0) ^ 0x36;
    made.outer[place] = (key[place] ?? 0) ^ 0x5c;
  }
  blocksOf.set(secret, made);
  return made;
}
