import { isAscii, isUtf8 } from 'node:buffer';

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Bytes that come in pieces, cut where no character of UTF-8 is cut. */
class WholeCharacters {
  /** The beginning of a character whose end comes with the next piece. */
  #begun: Uint8Array = new Uint8Array();

  push(bytes: Uint8Array): Uint8Array {
    const all = this.#begun.length === 0 ? bytes : Buffer.concat([this.#begun, bytes]);
    const end = endOfCharacters(all);
    this.#begun = Uint8Array.from(all.subarray(end));
    return all.subarray(0, end);
  }

  end(): Uint8Array {
    return this.#begun;
  }
}

/** Characters beyond ASCII that are UTF-8, and bytes that are none. */
export class Utf8Count {
  whole = 0;
  odd = 0;
  readonly #pieces = new WholeCharacters();

  push(bytes: Uint8Array): void {
    this.#count(this.#pieces.push(bytes));
  }

  end(): this {
    this.#count(this.#pieces.end());
    return this;
  }

  #count(bytes: Uint8Array): void {
    if (isAscii(bytes)) return;
    if (isUtf8(bytes)) {
      for (const byte of bytes) if (byte >= 0xc2) this.whole += 1;
      return;
    }
    for (let at = 0; at < bytes.length;) {
      const length = characterAt(bytes, at);
      if (length > 1) this.whole += 1;
      if (length === 0) this.odd += 1;
      at += length || 1;
    }
  }
}

/**
 * UTF-8 as text, each byte that is none as the letter that Windows-1252 has there. Where two tables were put together, or
 * one name was pasted from elsewhere, all names are right so, and nobody has a question mark for a letter.
 */
export class MixedUtf8 {
  /** In which there was such a byte. */
  oddLines = 0;
  readonly #pieces = new WholeCharacters();
  readonly #windows = new TextDecoder('windows-1252');
  #isOddLine = false;

  push(bytes: Uint8Array): string {
    return this.#read(this.#pieces.push(bytes));
  }

  end(): string {
    return this.#read(this.#pieces.end());
  }

  #read(bytes: Uint8Array): string {
    if (isUtf8(bytes)) {
      if (this.#isOddLine && (bytes.includes(NEWLINE) || bytes.includes(RETURN))) this.#isOddLine = false;
      return textOf(bytes);
    }
    let [text, from] = ['', 0];
    for (let at = 0; at < bytes.length;) {
      const length = characterAt(bytes, at);
      if (bytes[at] === NEWLINE || bytes[at] === RETURN) this.#isOddLine = false;
      if (length === 0) {
        text += textOf(bytes.subarray(from, at)) + this.#windows.decode(bytes.subarray(at, at + 1));
        from = at + 1;
        if (!this.#isOddLine) this.oddLines += 1;
        this.#isOddLine = true;
      }
      at += length || 1;
    }
    return text + textOf(bytes.subarray(from));
  }
}

function textOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8');
}

/** Second bytes that the first allows, where those are not all of 80 to BF (RFC 3629, section 4). */
const SECOND: Readonly<Record<number, readonly [from: number, to: number]>> = {
  0xe0: [0xa0, 0xbf],
  0xed: [0x80, 0x9f],
  0xf0: [0x90, 0xbf],
  0xf4: [0x80, 0x8f],
};

/** Bytes of the character of UTF-8 that begins there, 0 where none does. */
function characterAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const [from, to] = SECOND[first] ?? [0x80, 0xbf];
  const second = bytes[at + 1] ?? 0;
  if (second < from || second > to) return 0;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  for (let next = at + 2; next < at + length; next += 1) if (((bytes[next] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
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
