/** One record of a table, or a line that is none. `line` is where it begins, from 1. */
export type CsvRecord = { line: number; cells: string[] } | { line: number; problem: string; text: string };

/** Longer records are no rows of people: a quotation mark was forgotten, or it is another kind of file. */
export const MAX_RECORD_CHARS = 65_536;
const MAX_SHOWN_CHARS = 500;

type Parsed =
  | { kind: 'record'; cells: string[]; end: number; lines: number }
  | { kind: 'unfinished' }
  | { kind: 'broken'; problem: string };

/**
 * Reads delimited text (RFC 4180) as it comes in pieces, holding one record. A record that cannot be read costs its
 * first line and no more: reading goes on with the next line, where csv-parse 7.0 lost the rest of the file to one stray
 * quotation mark. Lines end with LF or CRLF, or with CR alone when `newline` says so; empty ones are left out. A
 * quotation mark inside an unquoted cell is a character like any other.
 */
export class CsvReader {
  #text = '';
  #line = 1;
  /** The line under way is too long and is dropped up to its end. */
  #dropping = false;

  constructor(
    private readonly delimiter: string,
    private readonly newline: '\n' | '\r' = '\n',
  ) {}

  push(piece: string): CsvRecord[] {
    this.#text += piece;
    return this.#read(false);
  }

  end(): CsvRecord[] {
    return this.#read(true);
  }

  #read(isLast: boolean): CsvRecord[] {
    const records: CsvRecord[] = [];
    const text = this.#text;
    let at = 0;
    while (at < text.length) {
      const stop = text.indexOf(this.newline, at);
      const end = stop < 0 ? text.length : stop;
      if (stop < 0 && !isLast && end - at <= MAX_RECORD_CHARS) break;
      if (this.#dropping || end - at > MAX_RECORD_CHARS) {
        if (!this.#dropping)
          records.push(this.#broken(text.slice(at, end), `longer than ${MAX_RECORD_CHARS} characters`));
        this.#dropping = stop < 0;
        at = stop < 0 ? text.length : stop + 1;
        if (stop >= 0) this.#line += 1;
        continue;
      }
      const line = withoutReturn(text.slice(at, end));
      if (!line.includes('"')) {
        if (line !== '') records.push({ line: this.#line, cells: line.split(this.delimiter) });
        this.#line += 1;
        at = end + 1;
        continue;
      }
      const cells = stop < 0 && !isLast ? null : cellsOfLine(line, this.delimiter);
      if (cells) {
        records.push({ line: this.#line, cells });
        this.#line += 1;
        at = end + 1;
        continue;
      }
      const parsed = this.#parse(text, at, isLast);
      if (parsed.kind === 'unfinished') break;
      if (parsed.kind === 'record') {
        records.push({ line: this.#line, cells: parsed.cells });
        this.#line += parsed.lines;
        at = parsed.end;
      } else {
        records.push(this.#broken(line, parsed.problem));
        this.#line += 1;
        at = end + 1;
      }
    }
    this.#text = at >= text.length ? '' : text.slice(at);
    return records;
  }

  #broken(text: string, problem: string): CsvRecord {
    return { line: this.#line, problem, text: text.slice(0, MAX_SHOWN_CHARS) };
  }

  /** A record with quotation marks, from `start` on; it may go over several lines. */
  #parse(text: string, start: number, isLast: boolean): Parsed {
    const cells: string[] = [];
    let [at, lines] = [start, 1];
    for (;;) {
      let cell = '';
      if (text[at] === '"') {
        for (at += 1; ;) {
          const quote = text.indexOf('"', at);
          if (quote < 0 || quote - start > MAX_RECORD_CHARS)
            return this.#isOpen(text, start, isLast) ?? { kind: 'broken', problem: NOT_CLOSED };
          cell += text.slice(at, quote);
          at = quote + 1;
          if (text[at] !== '"') break;
          cell += '"';
          at += 1;
        }
        // Whether a closing quotation mark is followed by another cannot be told before the next piece.
        if (at >= text.length && !isLast) return { kind: 'unfinished' };
        lines += countOf(cell, this.newline);
      } else {
        const from = at;
        while (at < text.length && text[at] !== this.delimiter && text[at] !== this.newline) at += 1;
        cell = text.slice(from, at);
        if (at < text.length && text[at] === this.newline) cell = withoutReturn(cell);
        if (at >= text.length) cell = withoutReturn(cell);
      }
      cells.push(cell);
      if (text[at] === this.delimiter) at += 1;
      else if (at >= text.length)
        return isLast ? { kind: 'record', cells, end: at, lines } : { kind: 'unfinished' };
      else if (text[at] === this.newline) return { kind: 'record', cells, end: at + 1, lines };
      else if (text[at] === '\r' && (text[at + 1] === '\n' || (isLast && at + 1 >= text.length)))
        return { kind: 'record', cells, end: at + 2, lines };
      else if (text[at] === '\r' && at + 1 >= text.length) return { kind: 'unfinished' };
      else return { kind: 'broken', problem: 'there is text behind a closing quotation mark' };
    }
  }

  #isOpen(text: string, start: number, isLast: boolean): Parsed | null {
    return !isLast && text.length - start <= MAX_RECORD_CHARS ? { kind: 'unfinished' } : null;
  }
}

/**
 * The cells of a line of which every quotation mark is closed in it, as nearly all are; null for what needs a second look.
 * Looking for the next mark or delimiter takes a tenth of going through the characters.
 */
function cellsOfLine(line: string, delimiter: string): string[] | null {
  const cells: string[] = [];
  for (let at = 0; ;) {
    if (line[at] === '"') {
      let quote = line.indexOf('"', at + 1);
      let cell = line.slice(at + 1, quote);
      while (quote >= 0 && line[quote + 1] === '"') {
        const next = line.indexOf('"', quote + 2);
        cell += line.slice(quote + 1, next);
        quote = next;
      }
      if (quote < 0) return null;
      cells.push(cell);
      at = quote + 1;
      if (at === line.length) return cells;
      if (line[at] !== delimiter) return null;
    } else {
      const stop = line.indexOf(delimiter, at);
      cells.push(stop < 0 ? line.slice(at) : line.slice(at, stop));
      if (stop < 0) return cells;
      at = stop;
    }
    at += 1;
  }
}

const NOT_CLOSED = `a quotation mark is not closed within ${MAX_RECORD_CHARS} characters`;

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

function countOf(text: string, character: string): number {
  let count = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) count += 1;
  return count;
}

const DELIMITERS = [',', ';', '\t', '|'] as const;

/** What most separates the cells of the first line, outside of quotation marks. A comma when nothing does. */
export function guessDelimiter(head: string): string {
  const firstLine = /^[\r\n]*((?:"(?:[^"]|"")*"|[^"\r\n])*)/.exec(head)?.[1] ?? '';
  const bare = firstLine.replace(/"(?:[^"]|"")*"/g, '');
  const counts = DELIMITERS.map((delimiter) => ({ delimiter, count: countOf(bare, delimiter) }));
  return counts.reduce((best, one) => (one.count > best.count ? one : best)).delimiter;
}

/** CR alone ends the lines of files from old Macs. */
export function guessNewline(head: string): '\n' | '\r' {
  return head.includes('\r') && !head.includes('\n') ? '\r' : '\n';
}
