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
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #isValid = true;

  push(bytes: Uint8Array): boolean {
    return this.#try(() => this.#decoder.decode(bytes, { stream: true }));
  }

  end(): boolean {
    return this.#try(() => this.#decoder.decode());
  }

  #try(decode: () => string): boolean {
    if (!this.#isValid) return false;
    try {
      decode();
    } catch {
      this.#isValid = false;
    }
    return this.#isValid;
  }
}
