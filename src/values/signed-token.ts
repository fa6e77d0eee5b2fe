import { DomainError } from './domain-error.js';
import { hmacSha256Text } from './hmac.js';

/** 128 bits: out of reach for guessing over HTTP, and short enough that a link survives a mail client's line wrap. */
const MAC_BYTES = 16;
const ID_BYTES = 8;
const EXPIRY_BYTES = 5;
const MAX_ID = 2n ** 63n - 1n;
const MAX_EXPIRY_SECONDS = 2 ** 40 - 1;
const BEFORE_ALL_ENDS = new Date(0);
const MAX_TOKEN_CHARS = 1024;
const PURPOSE = /^[a-z0-9][a-z0-9._:-]*$/;
const ID = /^(?:0|[1-9]\d{0,18})$/;

interface ExpiringPayload {
  readonly payload: Uint8Array;
  readonly expiresAt: Date;
}

/**
 * `base64url(payload ‖ HMAC-SHA256(secret, purpose ‖ 0x00 ‖ payload)[0..16])`. The payload is signed, not hidden: put
 * ids in it, never an address. The purpose binds a token to one use, so an open link cannot unsubscribe anyone.
 * `purpose` is lower-case letters, digits and `._:-`; anything else is a bug and throws `TOKEN_PURPOSE_INVALID`.
 */
export function signToken(secret: Buffer, purpose: string, payload: Uint8Array): string {
  return sign(secret, checkedPurpose(purpose), payload);
}

/** As `signToken` with `encodeIds` of these ids, and leaves no array behind for each: a mail has a dozen of them. */
export function signIds(secret: Buffer, purpose: string, ids: readonly string[]): string {
  const room = (idRooms[ids.length] ??= new Uint8Array(ids.length * ID_BYTES));
  writeIds(room, ids);
  return sign(secret, checkedPurpose(purpose), room);
}

/** The payload, or null for anything `signToken` would not have written with this secret and purpose. */
export function verifyToken(secret: Buffer, purpose: string, token: string): Uint8Array | null {
  return verify(secret, checkedPurpose(purpose), token);
}

/** As `signToken`, valid until `expiresAt` (whole seconds, rounded up; years 1970 to 36812). */
export function signExpiring(secret: Buffer, purpose: string, payload: Uint8Array, expiresAt: Date): string {
  const seconds = Math.ceil(expiresAt.getTime() / 1000);
  if (!(seconds >= 0 && seconds <= MAX_EXPIRY_SECONDS)) {
    throw new DomainError('TOKEN_EXPIRY_INVALID', 'a token expires at a time from the year 1970 on');
  }
  const expiry = Buffer.alloc(EXPIRY_BYTES);
  expiry.writeUIntBE(seconds, 0, EXPIRY_BYTES);
  return sign(secret, expiringPurpose(purpose), Buffer.concat([expiry, payload]));
}

/**
 * The content of a token of `signExpiring`; `'expired'` when it is genuine but `now` is at or past its end (say so to
 * the visitor and offer a new one); null when it is not genuine.
 */
export function verifyExpiring(
  secret: Buffer,
  purpose: string,
  token: string,
  now: Date,
): ExpiringPayload | 'expired' | null {
  const signed = verify(secret, expiringPurpose(purpose), token);
  if (signed === null || signed.length < EXPIRY_BYTES) return null;
  const seconds = Buffer.from(signed.subarray(0, EXPIRY_BYTES)).readUIntBE(0, EXPIRY_BYTES);
  const expiresAt = new Date(seconds * 1000);
  return now >= expiresAt ? 'expired' : { payload: signed.subarray(EXPIRY_BYTES), expiresAt };
}

/** A token of `signExpiring` with `expiresAt` as its end, or its own where that is later; as it is when it is not genuine. */
export function prolonged(secret: Buffer, purpose: string, token: string, expiresAt: Date): string {
  const read = verifyExpiring(secret, purpose, token, BEFORE_ALL_ENDS);
  if (read === null || read === 'expired' || read.expiresAt >= expiresAt) return token;
  return signExpiring(secret, purpose, read.payload, expiresAt);
}

/** Database ids (decimal strings, 0 to 2^63 - 1) as 8 bytes each, big endian. Throws `TOKEN_ID_INVALID`. */
export function encodeIds(ids: readonly string[]): Uint8Array {
  // Not a Buffer, whose memory stands outside the heap.
  const bytes = new Uint8Array(ids.length * ID_BYTES);
  writeIds(bytes, ids);
  return bytes;
}

/** By the number of ids: `signIds` writes into them what is signed at once. */
const idRooms: (Uint8Array | undefined)[] = [];

function writeIds(bytes: Uint8Array, ids: readonly string[]): void {
  let at = 0;
  for (const id of ids) {
    // A number holds what stands in real databases, at a fraction of the cost.
    const value = Number(ID.test(id) ? id : -1);
    if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
      writeUint32(bytes, at, Math.floor(value / 2 ** 32));
      writeUint32(bytes, at + 4, value % 2 ** 32);
    } else writeLargeId(bytes, at, id, value);
    at += ID_BYTES;
  }
}

function writeLargeId(bytes: Uint8Array, at: number, id: string, value: number): void {
  const large = value < 0 ? -1n : BigInt(id);
  if (large < 0n || large > MAX_ID) {
    throw new DomainError('TOKEN_ID_INVALID', 'an id in a token is a whole number from 0 to 2^63 - 1', {
      id,
    });
  }
  new DataView(bytes.buffer).setBigUint64(at, large);
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** The ids `encodeIds` wrote, or null when the bytes are not exactly `count` ids. */
export function decodeIds(bytes: Uint8Array, count: number): string[] | null {
  if (bytes.length !== count * ID_BYTES) return null;
  const ids: string[] = [];
  for (let at = 0; at < bytes.length; at += ID_BYTES) {
    const [high, low] = [uint32(bytes, at), uint32(bytes, at + 4)];
    // A number holds what stands in real databases, at a tenth of the cost.
    ids.push(high < 2 ** 21 ? String(high * 2 ** 32 + low) : String((BigInt(high) << 32n) | BigInt(low)));
  }
  return ids;
}

/** By hand: a `DataView` asks for the array's memory, which is then taken outside the heap and given back for each click. */
function uint32(bytes: Uint8Array, at: number): number {
  const [first = 0, second = 0, third = 0, fourth = 0] = [
    bytes[at],
    bytes[at + 1],
    bytes[at + 2],
    bytes[at + 3],
  ];
  return first * 2 ** 24 + ((second << 16) | (third << 8) | fourth);
}

function checkedPurpose(purpose: string): string {
  if (!PURPOSE.test(purpose)) {
    throw new DomainError(
      'TOKEN_PURPOSE_INVALID',
      'a token purpose is lower-case letters, digits and . _ : -',
      {
        purpose,
      },
    );
  }
  return purpose;
}

/** A byte no purpose may hold, so an expiring token never passes for a lasting one of the same purpose, or back. */
function expiringPurpose(purpose: string): string {
  return `${checkedPurpose(purpose)}\u0001`;
}

/** Holds the token that is being made or looked at; a new buffer for each would cost more than its coding. */
const scratch = Buffer.alloc(MAX_TOKEN_CHARS);

function sign(secret: Buffer, boundPurpose: string, payload: Uint8Array): string {
  const mac = hmacSha256Text(secret, `${boundPurpose}\0`, payload);
  const room =
    payload.length + MAC_BYTES <= scratch.length ? scratch : Buffer.alloc(payload.length + MAC_BYTES);
  room.set(payload);
  room.write(mac, payload.length, MAC_BYTES, 'latin1');
  return room.toString('base64url', 0, payload.length + MAC_BYTES);
}

function verify(secret: Buffer, boundPurpose: string, token: string): Uint8Array | null {
  if (token.length > MAX_TOKEN_CHARS) return null;
  const length = scratch.write(token, 'base64url');
  // Node's decoder skips foreign characters and unused low bits; only the one spelling we write is a token.
  if (length < MAC_BYTES || scratch.toString('base64url', 0, length) !== token) return null;
  const payload = scratch.subarray(0, length - MAC_BYTES);
  const right = hmacSha256Text(secret, `${boundPurpose}\0`, payload);
  // All bytes are looked at, whichever differs: the time tells nothing about how much of a forgery is right.
  let difference = 0;
  for (let at = 0; at < MAC_BYTES; at++)
    difference |= right.charCodeAt(at) ^ (scratch[payload.length + at] ?? 0);
  return difference === 0 ? new Uint8Array(payload) : null;
}
