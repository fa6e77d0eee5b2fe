import { posix } from 'node:path';
import { staysInTemplates } from '../../values/template-paths.js';

/** Of one file. Some of the checks, and MJML itself, take time by the square of it. */
export const MAX_SOURCE_CHARS = 400_000;

/**
 * One that is written so that MJML and we read the same path: attributes in quotation marks, with a blank before each. MJML
 * takes other spellings as well; what is read of one there and not here would be neither checked nor looked at for changes.
 */
export const INCLUDE =
  /<mj-include(?:\s+[^\s=<>"'/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'))?){0,30}?\s+path\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
const ANY_INCLUDE = /<mj-include(?=[\s/>])/gi;

/** Where the first stands that is written in another way; null: none is. */
export function unreadInclude(source: string): number | null {
  const read = new Set([...source.matchAll(INCLUDE)].map(({ index }) => index));
  for (const { index } of source.matchAll(ANY_INCLUDE)) if (!read.has(index)) return index;
  return null;
}

/** Whether what is included at `index` is taken as CSS or HTML, and not as elements of MJML. */
export function includesOther(source: string, index: number): boolean {
  const [tag = ''] = /^<(?:"[^"]*"|'[^']*'|[^>"'])*/.exec(source.slice(index, index + 5000)) ?? [];
  return /\stype\s*=\s*["']?(?:css|html)\b/.test(tag);
}

/**
 * Why MJML takes nothing of an included file, and says so to nobody; null: it does. It takes a file for a whole mail by the very
 * letters `<mjml>`, wherever they stand. `bare`: without comments.
 */
export function unusedPart(source: string, bare: string, isMjml: boolean): string | null {
  if (bare.trim() === '') return 'that is empty';
  const isWhole = /<mjml[\s>]/.test(bare);
  if (!isMjml || source.includes('<mjml>') === isWhole) return null;
  return isWhole
    ? 'of which MJML takes nothing: begin it with <mjml>, without attributes'
    : 'of which MJML takes nothing: take <mjml> out of its comments';
}

/** Paths, below `templates/` as that of the mail itself, of what a mail includes; what lies outside is left out. */
export function partsOfMail(source: string, path: string): string[] {
  const paths = [...source.matchAll(INCLUDE)].map(({ 1: one, 2: other }) =>
    posix.join(posix.dirname(path), one ?? other ?? ''),
  );
  return [...new Set(paths)].filter(staysInTemplates);
}
