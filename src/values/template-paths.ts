import { posix } from 'node:path';

/** Of pages and their parts. */
export const PAGE_EXTENSION = '.liquid';

/** The path, below `templates/`, of what a page names as `file`; `folder`: where the name counts from. */
export function pathOfPart(folder: string, file: string): string {
  const path = posix.join(folder, file);
  return posix.extname(path) === '' ? `${path}${PAGE_EXTENSION}` : path;
}

/** Whether a path counted from `templates/` stays in it. Whatever else is read would be shown, and given back by an export. */
export function staysInTemplates(path: string): boolean {
  const plain = posix.normalize(path);
  return !posix.isAbsolute(plain) && plain !== '..' && !plain.startsWith('../');
}
