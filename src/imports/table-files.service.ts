import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import { DomainError } from '../values/domain-error.js';
import { type CsvRecord, CsvReader, guessDelimiter, guessNewline } from './csv.js';
import { type Encoding, encodingByCount, encodingByMark, textDecoder } from './encoding.js';
import { Utf8Count } from './mixed-utf8.js';
import {
  dataStart,
  findDirectory,
  isZip,
  LOCAL_HEADER_BYTES,
  readDirectory,
  tableEntries,
  ZIP_TAIL_BYTES,
  type ZipEntry,
} from './zip.js';

/** Also of all that comes out of an archive: a few kilobytes can be made to unpack to anything. */
export const MAX_TABLE_BYTES = 1_073_741_824;
const MAX_TABLES = 20;
const MAX_DIRECTORY_BYTES = 1_048_576;
/** The server copies what was sent while the next piece is read; of larger ones it has to wait for more. */
const PIECE_BYTES = 65_536;
const HEAD_BYTES = 65_536;

/** A file that holds a table, or one of an archive's. */
interface TableFile {
  name: string;
  pieces(): AsyncIterable<Buffer>;
}

/** A table whose header has been read. */
interface OpenTable {
  name: string;
  encoding: Encoding;
  delimiter: string;
  headers: string[];
  /** Records behind the header, a batch at a time. Close it with `return` when it is not read to its end. */
  batches: AsyncGenerator<CsvRecord[]>;
  /** Lines read so far that are not all of the encoding: UTF-8 with letters of Windows-1252. */
  oddLines: () => number;
}

/** The table of a file, or those of a ZIP archive. Throws `IMPORT_FILE_INVALID` and `IMPORT_FILE_TOO_LARGE`. */
export async function tablesIn(path: string, fileName: string): Promise<TableFile[]> {
  const file = await open(path);
  try {
    const head = await readAt(file, 0, 4);
    if (!isZip(head))
      return [{ name: fileName, pieces: () => createReadStream(path, { highWaterMark: PIECE_BYTES }) }];
    return await tablesOfZip(file, path);
  } finally {
    await file.close();
  }
}

async function tablesOfZip(file: FileHandle, path: string): Promise<TableFile[]> {
  const { size } = await file.stat();
  const tailAt = Math.max(0, size - ZIP_TAIL_BYTES);
  const found = findDirectory(await readAt(file, tailAt, size - tailAt));
  if (!found || found.bytes > MAX_DIRECTORY_BYTES) throw refused('the ZIP archive cannot be read');
  const entries = readDirectory(await readAt(file, found.at, found.bytes), found.entries);
  if (!entries) throw refused('the ZIP archive cannot be read');
  const tables = tableEntries(entries);
  if (tables.length === 0) throw refused('the ZIP archive holds no .csv file');
  if (tables.length > MAX_TABLES) throw refused(`the ZIP archive holds more than ${MAX_TABLES} tables`);
  const budget = { bytes: MAX_TABLE_BYTES };
  const files: TableFile[] = [];
  for (const entry of tables) {
    if (entry.isEncrypted || (entry.method !== 0 && entry.method !== 8))
      throw refused(`"${entry.name}" in the ZIP archive is encrypted, or packed in a way that is not known`);
    budget.bytes -= entry.bytes;
    if (budget.bytes < 0) throw tooLarge();
    const start = dataStart(entry, await readAt(file, entry.headerAt, LOCAL_HEADER_BYTES));
    if (start === null) throw refused('the ZIP archive cannot be read');
    files.push({ name: entry.name, pieces: () => unpacked(path, entry, start) });
  }
  return files;
}

/** Throws where the bytes are not those that the directory promised, and before they are more. */
async function* unpacked(path: string, entry: ZipEntry, start: number): AsyncGenerator<Buffer> {
  if (entry.compressedBytes === 0) return;
  const end = start + entry.compressedBytes - 1;
  const packed = createReadStream(path, { start, end, highWaterMark: PIECE_BYTES });
  // What goes wrong in either of them is thrown to who reads the last.
  const pieces =
    entry.method === 0
      ? packed
      : pipeline(packed, createInflateRaw({ chunkSize: PIECE_BYTES }), () => undefined);
  let [size, sum] = [0, 0];
  try {
    for await (const piece of pieces as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > entry.bytes) break;
      sum = crc32(piece, sum);
      yield piece;
    }
  } catch {
    throw refused(`"${entry.name}" in the ZIP archive is broken`);
  }
  if (size !== entry.bytes || sum !== entry.crc32)
    throw refused(`"${entry.name}" in the ZIP archive is broken`);
}

/** Reads the header of a table. Throws `IMPORT_FILE_INVALID` for one that is empty or begins with no header. */
export async function openTable(
  file: TableFile,
  said: { encoding: Encoding | null; delimiter: string | null },
): Promise<OpenTable & { firstRows: CsvRecord[] }> {
  const { encoding, head } = await look(file, said.encoding);
  const delimiter = said.delimiter ?? guessDelimiter(head);
  const decoder = textDecoder(encoding);
  const batches = batchesOf(file, decoder, new CsvReader(delimiter, guessNewline(head)));
  const [header, ...firstRows] = await nextBatch(batches);
  if (header === undefined || 'problem' in header) {
    await batches.return(undefined);
    const why = header === undefined ? 'it is empty' : `its first line cannot be read: ${header.problem}`;
    throw refused(`${file.name}: ${why}`);
  }
  const { oddLines } = decoder;
  return { name: file.name, encoding, delimiter, headers: header.cells, batches, oddLines, firstRows };
}

/** Encoding and beginning of a file. One look over all bytes: a first accent may come on the last line. */
async function look(file: TableFile, said: Encoding | null): Promise<{ encoding: Encoding; head: string }> {
  const count = new Utf8Count();
  let head: Buffer = Buffer.alloc(0);
  let encoding = said;
  for await (const piece of file.pieces()) {
    if (head.length < HEAD_BYTES) {
      head = Buffer.concat([head, piece.subarray(0, HEAD_BYTES - head.length)]);
      encoding ??= encodingByMark(head);
    }
    if (encoding === null) count.push(piece);
    else if (head.length === HEAD_BYTES) break;
  }
  encoding ??= encodingByCount(count.end());
  return { encoding, head: new TextDecoder(encoding).decode(head, { stream: true }) };
}

async function* batchesOf(
  file: TableFile,
  decoder: ReturnType<typeof textDecoder>,
  reader: CsvReader,
): AsyncGenerator<CsvRecord[]> {
  for await (const piece of file.pieces()) yield reader.push(decoder.push(piece));
  yield reader.push(decoder.end());
  yield reader.end();
}

/** The next records there are; empty at the end of the file. */
async function nextBatch(batches: AsyncGenerator<CsvRecord[]>): Promise<CsvRecord[]> {
  for (;;) {
    const next = await batches.next();
    if (next.done === true || next.value.length > 0) return next.done === true ? [] : next.value;
  }
}

async function readAt(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
  return buffer.subarray(0, bytesRead);
}

function refused(why: string): DomainError {
  return new DomainError('IMPORT_FILE_INVALID', `file: ${why}`, { field: 'file' });
}

export function tooLarge(): DomainError {
  return new DomainError('IMPORT_FILE_TOO_LARGE', `file: send at most ${MAX_TABLE_BYTES} bytes`, {
    field: 'file',
  });
}
