import { posix } from 'node:path';
import { staysInTemplates } from '../../values/template-paths.js';

/** Of one file. Some of the checks, and MJML itself, take time by the square of it. */
export const MAX_SOURCE_CHARS = 400_000;

export const INCLUDE = /<mj-include\b(?:"[^"]*"|'[^']*'|[^>"']){0,1000}?\bpath=(?:"([^"]*)"|'([^']*)')/g;

/** Paths, below `templates/` as that of the mail itself, of what a mail includes; what lies outside is left out. */
export function partsOfMail(source: string, path: string): string[] {
  const paths = [...source.matchAll(INCLUDE)].map(({ 1: one, 2: other }) =>
    posix.join(posix.dirname(path), one ?? other ?? ''),
  );
  return [...new Set(paths)].filter(staysInTemplates);
}
