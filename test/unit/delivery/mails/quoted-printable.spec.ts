import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quotedPrintable as octets } from '../../../../src/delivery/mails/quoted-printable.js';

const quotedPrintable = (text: string): string => octets(text).toString('latin1');

/** RFC 2045 §6.7, written from the other side. */
function decoded(text: string): string {
  const bytes = text
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
const asLines = (text: string): string => text.replace(/\r\n|\n|\r/g, '\r\n');
const texts = fc.string({
  unit: fc.oneof(
    fc.constantFrom('.', '=', ' ', '\t', '\n', '\r\n', 'ü', '—', '😀'),
    fc.string({ unit: 'grapheme', maxLength: 90 }),
  ),
});

describe('quoted-printable', () => {
  it('says the same when it is decoded', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(decoded(quotedPrintable(text))).toBe(asLines(text.toWellFormed()));
      }),
    );
  });

  it('put together from pieces says the same as the whole', () => {
    fc.assert(
      fc.property(fc.array(texts), (pieces) => {
        const together = pieces.map(quotedPrintable).join('');
        expect(decoded(together)).toBe(pieces.map((piece) => asLines(piece.toWellFormed())).join(''));
      }),
    );
  });

  it('keeps every line at 76 signs of ASCII, ends none with white space and begins none with a dot', () => {
    fc.assert(
      fc.property(fc.array(texts), (pieces) => {
        for (const line of pieces.map(quotedPrintable).join('').split('\r\n')) {
          expect(line.length).toBeLessThanOrEqual(76);
          expect(line).toMatch(/^[\t -~]*$/);
          expect(line).not.toMatch(/^\.|[ \t]$/);
        }
      }),
    );
  });
});
