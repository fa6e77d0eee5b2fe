/** RFC 2045 §6.7 rule 5: at most 76 characters, the closing `=` among them. */
const MAX_LINE = 76;
const SOFT_BREAK = '=\r\n';
const EQUALS = 0x3d;
const DOT = 0x2e;
const SPACE = 0x20;
const TAB = 0x09;

const ENCODED = Array.from(
  { length: 256 },
  (_, byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`,
);
const PLAIN = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));

/**
 * Text as whole quoted-printable lines: what is encoded piece by piece and put together says the same as encoding the
 * whole, because every piece ends with a line break, a soft one where the text has none. That is what lets the fixed
 * parts of a mail be encoded once per template instead of once per recipient.
 *
 * Line breaks become CRLF. A dot at the start of a line is encoded too, so nothing on the way needs to stuff or unstuff
 * it, and white space at the end of a line, which relays may drop.
 */
export function quotedPrintable(text: string): string {
  if (text === '') return '';
  let out = '';
  const lines = text.split(/\r\n|\n|\r/);
  const last = lines.length - 1;
  lines.forEach((line, index) => {
    if (line !== '') out += encodedLine(line);
    if (index < last) out += '\r\n';
    else if (line !== '') out += SOFT_BREAK;
  });
  return out;
}

function encodedLine(line: string): string {
  const bytes = Buffer.from(line, 'utf8');
  let out = '';
  let column = 0;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] ?? 0;
    const piece = isPlain(byte, column, index === bytes.length - 1) ? PLAIN[byte] : ENCODED[byte];
    const width = piece?.length ?? 0;
    // One column stays free for the `=` of a soft break.
    if (column + width > MAX_LINE - 1) {
      out += SOFT_BREAK;
      column = 0;
      // Now first in its line.
      if (byte === DOT) {
        out += ENCODED[DOT];
        column = 3;
        continue;
      }
    }
    out += piece;
    column += width;
  }
  return out;
}

function isPlain(byte: number, column: number, lastInLine: boolean): boolean {
  if (byte === SPACE || byte === TAB) return !lastInLine;
  if (byte === DOT) return column > 0;
  return byte > SPACE && byte < 0x7f && byte !== EQUALS;
}
