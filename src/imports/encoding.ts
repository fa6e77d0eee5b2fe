import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';

export const ENCODINGS = ['utf-8', 'utf-16le', 'utf-16be', 'windows-1252'] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** What a byte order mark says, or what the zeros of ASCII text in UTF-16 give away; null when neither does. */
export function encodingByMark(head: Uint8Array): Encoding | null {
  const [a, b, c] = head;
  if (a === 0xef && b === 0xbb && c === 0xbf) return 'utf-8';
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  const zeros = [0, 0];
  for (const [index, byte] of head.entries()) if (byte === 0) zeros[index % 2] = (zeros[index % 2] ?? 0) + 1;
  const [even = 0, odd = 0] = zeros;
  // A header line is mostly ASCII, so every second byte of it is zero.
  if (odd > head.length / 4 && even < odd / 4) return 'utf-16le';
  return even > head.length / 4 && odd < even / 4 ? 'utf-16be' : null;
}

/** Whether all that is pushed is UTF-8. What is not, and has no mark, is taken for Windows-1252: any bytes are. */
export class Utf8Check {
  #isValid = true;
  /** The beginning of a character whose end comes with the next piece. */
  #begun: Uint8Array = new Uint8Array();

  push(bytes: Uint8Array): boolean {
    if (!this.#isValid) return false;
    const all = this.#begun.length === 0 ? bytes : Buffer.concat([this.#begun, bytes]);
    const end = endOfCharacters(all);
    this.#isValid = isUtf8(all.subarray(0, end));
    this.#begun = Uint8Array.from(all.subarray(end));
    return this.#isValid;
  }

  end(): boolean {
    return this.#isValid && this.#begun.length === 0;
  }
}

/** Where a last character begins that is not whole (RFC 3629, section 3), else the end. */
function endOfCharacters(bytes: Uint8Array): number {
  const { length } = bytes;
  for (let back = 1; back <= Math.min(3, length); back += 1) {
    const byte = bytes[length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needs > back ? length - back : length;
  }
  return length;
}

/**
 * Text of bytes that come in pieces, without the mark at its beginning. For UTF-8 not by a TextDecoder: of a stream it
 * gives text with two bytes for each character, and all that is done with a row of such text takes half as long again.
 */
export function textDecoder(encoding: Encoding): { push(bytes: Buffer): string; end(): string } {
  if (encoding !== 'utf-8') {
    const decoder = new TextDecoder(encoding);
    return { push: (bytes) => decoder.decode(bytes, { stream: true }), end: () => decoder.decode() };
  }
  const decoder = new StringDecoder('utf8');
  let isFirst = true;
  return {
    push: (bytes) => {
      const text = decoder.write(bytes);
      if (!isFirst || text === '') return text;
      isFirst = false;
      return text.startsWith('\ufeff') ? text.slice(1) : text;
    },
    end: () => decoder.end(),
  };
}
