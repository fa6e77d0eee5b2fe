import { MixedUtf8, type Utf8Count } from './mixed-utf8.js';

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

/**
 * Of a file that has no mark: what is not UTF-8 is taken for Windows-1252, as any bytes are. UTF-8 in which a few bytes are
 * wrong stays UTF-8; each of its other names would else be read wrong for one that is.
 */
export function encodingByCount({ whole, odd }: Utf8Count): Encoding {
  return odd === 0 || whole >= odd ? 'utf-8' : 'windows-1252';
}

interface Decoder {
  push(bytes: Buffer): string;
  end(): string;
  /** Lines read so far that are not all of the encoding. */
  oddLines: () => number;
}

/**
 * Text of bytes that come in pieces, without the mark at its beginning. For UTF-8 not by a TextDecoder: of a stream it
 * gives text with two bytes for each character, and all that is done with a row of such text takes half as long again.
 */
export function textDecoder(encoding: Encoding): Decoder {
  if (encoding !== 'utf-8') {
    const decoder = new TextDecoder(encoding);
    return {
      push: (bytes) => decoder.decode(bytes, { stream: true }),
      end: () => decoder.decode(),
      oddLines: () => 0,
    };
  }
  const decoder = new MixedUtf8();
  let isFirst = true;
  return {
    push: (bytes) => {
      const text = decoder.push(bytes);
      if (!isFirst || text === '') return text;
      isFirst = false;
      return text.startsWith('\ufeff') ? text.slice(1) : text;
    },
    end: () => decoder.end(),
    oddLines: () => decoder.oddLines,
  };
}
