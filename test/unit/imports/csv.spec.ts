import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CsvReader,
  type CsvRecord,
  guessDelimiter,
  guessNewline,
  MAX_RECORD_CHARS,
} from '../../../src/imports/csv.js';
import { encodingByCount, encodingByMark, textDecoder } from '../../../src/imports/encoding.js';
import { Utf8Count } from '../../../src/imports/mixed-utf8.js';

function readAll(
  text: string,
  { cuts = [] as number[], delimiter = ',', newline = '\n' as '\n' | '\r' } = {},
): CsvRecord[] {
  const reader = new CsvReader(delimiter, newline);
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length];
  const pieces = places.slice(1).map((end, index) => text.slice(places[index], end));
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}
const cells = (text: string, delimiter = ','): string[][] =>
  readAll(text, { delimiter }).flatMap((record) => ('cells' in record ? [record.cells] : []));
const problems = (text: string): [number, string][] =>
  readAll(text).flatMap((record) =>
    'problem' in record ? [[record.line, record.problem] as [number, string]] : [],
  );

describe('delimited text', () => {
  it('comes back as it was written, wherever the pieces are cut', () => {
    const cell = fc.array(fc.constantFrom('a', 'é', '"', ',', ';', '\n', '\r', '\r\n', ' ', "'", '😀'), {
      maxLength: 6,
    });
    const row = fc.array(
      cell.map((all) => all.join('')),
      { minLength: 2, maxLength: 4 },
    );
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 5 }),
        fc.constantFrom('\n', '\r\n'),
        fc.array(fc.nat(), { maxLength: 5 }),
        (rows, newline, cuts) => {
          const text = rows.map((one) => one.map(quoted).join(',')).join(newline);
          expect(
            readAll(text, { cuts }).map((record) => ('cells' in record ? record.cells : record.problem)),
          ).toEqual(rows);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('gives the same records however it is cut, whatever the text', () => {
    const text = fc.array(fc.constantFrom('a', '"', '""', ',', '\n', '\r\n', '",', '"\n'), { maxLength: 30 });
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 6 }), (parts, cuts) => {
        expect(readAll(parts.join(''), { cuts })).toEqual(readAll(parts.join('')));
      }),
      { numRuns: 500 },
    );
  });

  it('reads plain, quoted and empty cells, and leaves empty lines out', () => {
    expect(cells('a,b\r\n\r\n1,\n"x, ""y""","z\nz"\n5" pipe,\n,\n')).toEqual([
      ['a', 'b'],
      ['1', ''],
      ['x, "y"', 'z\nz'],
      ['5" pipe', ''],
      ['', ''],
    ]);
    expect(readAll('a;b\rc;"d\re"\r', { delimiter: ';', newline: '\r' })).toEqual([
      { line: 1, cells: ['a', 'b'] },
      { line: 2, cells: ['c', 'd\re'] },
    ]);
  });

  it('loses one line to a stray quotation mark, and says which', () => {
    const text = `a,b\n"x\ny",2\n"bad"q,3\n4,5\n"open,6\n${'7,8\n'.repeat(30_000)}9,"10"\n`;
    expect(problems(text).map(([line]) => line)).toEqual([4, 6]);
    expect(cells(text).at(-1)).toEqual(['9', '10']);
    expect(cells(text)).toHaveLength(1 + 1 + 1 + 30_000 + 1);
  });

  it('drops a line that is too long and goes on behind it, in bounded memory', () => {
    const long = 'x'.repeat(MAX_RECORD_CHARS);
    const reader = new CsvReader(',');
    const seen: CsvRecord[] = [...reader.push('a,b\n1,')];
    for (let piece = 0; piece < 100; piece += 1) seen.push(...reader.push(long));
    seen.push(...reader.push('\n2,3\n'), ...reader.end());
    expect(seen.map((record) => ('cells' in record ? record.cells : record.line))).toEqual([
      ['a', 'b'],
      2,
      ['2', '3'],
    ]);
  });

  it('counts lines as an editor does', () => {
    expect(readAll('h,i\n\n"a\nb",1\nc,2').map(({ line }) => line)).toEqual([1, 3, 5]);
  });
});

describe('guesses', () => {
  it.each([
    ['a,b;c\n', ','],
    ['a;b,c;d\n', ';'],
    ['a\tb\tc\n', '\t'],
    ['"a;b;c;d",e\n', ','],
    ['"a\nb;c",d,e\n', ','],
    ['email\n1;2;3;4', ','],
    ['', ','],
  ])('the delimiter of %j is %j', (head, delimiter) => {
    expect(guessDelimiter(head)).toBe(delimiter);
  });

  it('knows the line ends of old Macs', () => {
    expect([guessNewline('a\rb'), guessNewline('a\r\nb'), guessNewline('a\nb')]).toEqual(['\r', '\n', '\n']);
  });

  it('knows encodings by their mark, by the zeros of UTF-16, and UTF-8 by its bytes', () => {
    const text = 'email,name\nada@example.com,Ada\n';
    const swapped = Buffer.from(text, 'utf16le').swap16();
    expect(encodingByMark(Buffer.from(`\ufeff${text}`))).toBe('utf-8');
    expect(encodingByMark(Buffer.from(`\ufeff${text}`, 'utf16le'))).toBe('utf-16le');
    expect(encodingByMark(Buffer.from(text, 'utf16le'))).toBe('utf-16le');
    expect(encodingByMark(swapped)).toBe('utf-16be');
    expect(encodingByMark(Buffer.from(text))).toBeNull();
    const byCount = (bytes: Buffer): string => {
      const count = new Utf8Count();
      for (const byte of bytes) count.push(Buffer.of(byte));
      return encodingByCount(count.end());
    };
    expect([Buffer.from('é😀'), Buffer.from('é', 'latin1'), Buffer.of(0xc3)].map(byCount)).toEqual([
      'utf-8',
      'windows-1252',
      'windows-1252',
    ]);
  });

  it('reads bytes as the whole text says, wherever a piece ends', () => {
    const decode = (
      bytes: Buffer,
      sizes: readonly number[],
    ): { text: string; odd: number; lines: number } => {
      const decoder = textDecoder('utf-8');
      const count = new Utf8Count();
      let [text, at] = ['', 0];
      for (const size of [...sizes, bytes.length]) {
        const piece = bytes.subarray(at, at + size);
        text += decoder.push(piece);
        count.push(piece);
        at += size;
      }
      text += decoder.end();
      return { text, odd: count.end().odd, lines: decoder.oddLines() };
    };
    const isUtf8 = (bytes: Buffer): boolean => Buffer.from(bytes.toString()).equals(bytes);
    const text = fc
      .string({ unit: fc.constantFrom('a', '\n', '"', 'é', '€', '😀', '\ufeff') })
      .map((one) => Buffer.from(one));
    const odd = fc
      .array(fc.constantFrom(0x61, 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0x9f, 0xff))
      .map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(text, odd), fc.array(fc.integer({ min: 0, max: 3 })), (bytes, sizes) => {
        const read = decode(bytes, sizes);
        expect(read.odd === 0).toBe(isUtf8(bytes));
        expect(read.lines === 0).toBe(isUtf8(bytes));
        expect(read.text).not.toContain('\ufffd');
        if (read.odd === 0) expect(read.text).toBe(new TextDecoder().decode(bytes));
        else expect(read).toEqual(decode(bytes, []));
      }),
    );
  });
});
