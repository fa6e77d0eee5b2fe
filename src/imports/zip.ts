/** A file inside a ZIP archive, as the archive's directory describes it. */
export interface ZipEntry {
  name: string;
  /** 0: stored, 8: deflated. */
  method: number;
  isEncrypted: boolean;
  crc32: number;
  compressedBytes: number;
  bytes: number;
  /** Where its local header begins. */
  headerAt: number;
}

/** The end record and the longest comment behind it. */
export const ZIP_TAIL_BYTES = 22 + 65_535;
export const LOCAL_HEADER_BYTES = 30;

const END = 0x0605_4b50;
const ENTRY = 0x0201_4b50;
const LOCAL = 0x0403_4b50;
const ENTRY_BYTES = 46;
/** In place of a number that only ZIP64 can hold. */
const IN_ZIP64 = 0xffff_ffff;

export function isZip(head: Buffer): boolean {
  return head.length >= 4 && head.readUInt32LE(0) === LOCAL;
}

/** Where the directory lies, from the last bytes of the archive; null when there is none (PKWARE APPNOTE, 4.3.16). */
export function findDirectory(tail: Buffer): { at: number; bytes: number; entries: number } | null {
  for (let at = tail.length - 22; at >= 0; at -= 1) {
    if (tail.readUInt32LE(at) !== END) continue;
    const [entries, bytes, start] = [
      tail.readUInt16LE(at + 10),
      tail.readUInt32LE(at + 12),
      tail.readUInt32LE(at + 16),
    ];
    return start === IN_ZIP64 || bytes === IN_ZIP64 ? null : { at: start, bytes, entries };
  }
  return null;
}

/** The entries of a directory (APPNOTE, 4.3.12); null when its bytes are not what they should be. */
export function readDirectory(directory: Buffer, entries: number): ZipEntry[] | null {
  const found: ZipEntry[] = [];
  for (let at = 0; found.length < entries;) {
    if (at + ENTRY_BYTES > directory.length || directory.readUInt32LE(at) !== ENTRY) return null;
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((place) =>
      directory.readUInt16LE(at + place),
    ) as [number, number, number];
    const nameEnd = at + ENTRY_BYTES + nameBytes;
    if (nameEnd > directory.length) return null;
    found.push({
      name: directory.toString('utf8', at + ENTRY_BYTES, nameEnd),
      method: directory.readUInt16LE(at + 10),
      isEncrypted: (directory.readUInt16LE(at + 8) & 1) === 1,
      crc32: directory.readUInt32LE(at + 16),
      compressedBytes: directory.readUInt32LE(at + 20),
      bytes: directory.readUInt32LE(at + 24),
      headerAt: directory.readUInt32LE(at + 42),
    });
    at = nameEnd + extraBytes + commentBytes;
  }
  return found;
}

/** Where the bytes of an entry begin, from its local header; null when that is none. */
export function dataStart(entry: ZipEntry, header: Buffer): number | null {
  if (header.length < LOCAL_HEADER_BYTES || header.readUInt32LE(0) !== LOCAL) return null;
  return entry.headerAt + LOCAL_HEADER_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
}

/**
 * The tables among the entries, those of people who said no first: an address that stands in two of them is then taken
 * as a no. What macOS puts beside a file is no table.
 */
export function tableEntries(entries: readonly ZipEntry[]): ZipEntry[] {
  return entries
    .filter(({ name }) => /\.(csv|tsv|txt)$/i.test(name) && !/(^|\/)(__MACOSX\/|\.)/.test(name))
    .toSorted((a, b) => placeOf(a.name) - placeOf(b.name) || (a.name < b.name ? -1 : 1));
}

const FIRST = ['cleaned', 'unsubscribed', 'nonsubscribed'];

function placeOf(name: string): number {
  const place = FIRST.findIndex((word) => baseName(name).startsWith(word));
  return place < 0 ? FIRST.length : place;
}

function baseName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1).toLowerCase();
}
