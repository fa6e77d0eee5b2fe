/** RFC 2045 §6.7 rule 5: at most 76 characters, the closing `=` among them. */
const MAX_LINE = 76;
export const EQUALS = 0x3d;
const DOT = 0x2e;
const SPACE = 0x20;
const TAB = 0x09;
const CR = 0x0d;
export const LF = 0x0a;
const HEX = Buffer.from('0123456789ABCDEF', 'latin1');

/** Grows to the longest text; holds nothing between two calls. */
let source = Buffer.alloc(4_096);

/** The most octets that {@link writeQuotedPrintable} writes for this text. */
export function quotedPrintableRoom(text: string): number {
  // Three octets for each of at most three bytes of a UTF-16 unit, and a soft break for each 73 of them.
  return text.length * 10 + 8;
}

/**
 * Writes text as whole quoted-printable lines into `target` from `at` on, and returns where they end. What is written
 * piece by piece says the same as the whole written at once, because every piece ends with a line break, a soft one where
 * the text has none. That is what lets the fixed parts of a mail be encoded once per template instead of once per
 * recipient.
 *
 * Line breaks become CRLF. A dot at the start of a line is encoded too, so nothing on the way needs to stuff or unstuff
 * it, and white space at the end of a line, which relays may drop.
 */
export function writeQuotedPrintable(text: string, target: Buffer, at: number): number {
  const end = writePlainLine(text, target, at);
  return end === at ? writeAny(text, target, at) : end;
}

/** Most of what is filled in is a word or an address that stands on one line as it is. Returns `at` for anything else. */
function writePlainLine(text: string, target: Buffer, at: number): number {
  const { length } = text;
  if (length === 0 || length >= MAX_LINE) return at;
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x80 && isPlain(code, index, index === length - 1)) target[at + index] = code;
    else return at;
  }
  return writeBreak(target, at + length, true);
}

function writeAny(text: string, target: Buffer, at: number): number {
  if (source.length < text.length * 3) source = Buffer.alloc(text.length * 3);
  const end = source.write(text, 0, 'utf8');
  let out = at;
  let column = 0;
  let inLine = false;
  for (let index = 0; index < end; index++) {
    const byte = source[index] ?? 0;
    if (byte === CR || byte === LF) {
      if (byte === CR && source[index + 1] === LF && index + 1 < end) index++;
      out = writeBreak(target, out, false);
      column = 0;
      inLine = false;
      continue;
    }
    inLine = true;
    const next = index + 1 < end ? source[index + 1] : LF;
    const plain = isPlain(byte, column, next === LF || next === CR);
    // One column stays free for the `=` of a soft break.
    if (column + (plain ? 1 : 3) > MAX_LINE - 1) {
      out = writeBreak(target, out, true);
      column = 0;
    }
    if (plain && (byte !== DOT || column > 0)) {
      target[out++] = byte;
      column++;
    } else {
      target[out++] = EQUALS;
      target[out++] = HEX[byte >> 4] ?? 0;
      target[out++] = HEX[byte & 15] ?? 0;
      column += 3;
    }
  }
  return inLine ? writeBreak(target, out, true) : out;
}

/** As {@link writeQuotedPrintable}, in octets of its own. */
export function quotedPrintable(text: string): Buffer {
  const target = Buffer.alloc(quotedPrintableRoom(text));
  return Buffer.from(target.subarray(0, writeQuotedPrintable(text, target, 0)));
}

function writeBreak(target: Buffer, at: number, soft: boolean): number {
  let out = at;
  if (soft) target[out++] = EQUALS;
  target[out++] = CR;
  target[out++] = LF;
  return out;
}

function isPlain(byte: number, column: number, lastInLine: boolean): boolean {
  if (byte === SPACE || byte === TAB) return !lastInLine;
  if (byte === DOT) return column > 0;
  return byte > SPACE && byte < 0x7f && byte !== EQUALS;
}
