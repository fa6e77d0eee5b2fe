import { extname } from 'node:path';

/**
 * What we deliver, by ending. Anything else goes out as bytes, and nothing here is a type that a browser would run: a
 * file is always a download.
 */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['.pdf', 'application/pdf'],
  ['.zip', 'application/zip'],
  ['.epub', 'application/epub+zip'],
  ['.mp3', 'audio/mpeg'],
  ['.m4a', 'audio/mp4'],
  ['.mp4', 'video/mp4'],
  ['.png', 'image/png'],
  ['.jpg', 'image/jpeg'],
  ['.jpeg', 'image/jpeg'],
  ['.webp', 'image/webp'],
  ['.txt', 'text/plain; charset=utf-8'],
  ['.md', 'text/markdown; charset=utf-8'],
  ['.csv', 'text/csv; charset=utf-8'],
  ['.json', 'application/json'],
  ['.docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
  ['.xlsx', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'],
  ['.pptx', 'application/vnd.openxmlformats-officedocument.presentationml.presentation'],
]);

/** The media type by the file name's ending, whatever its case. */
export function contentTypeOf(fileName: string): string {
  return TYPES.get(extname(fileName).toLowerCase()) ?? 'application/octet-stream';
}
