import { posix } from 'node:path';
import { Liquid } from 'liquidjs';
import { pathOfPart } from './template-paths.js';
import { withChildren } from './liquid-tree.js';

/** Far more than a page has. */
export const PARSE_LIMIT_CHARACTERS = 2_000_000;
/** Parses only: no file is read. */
const parser = new Liquid({ parseLimit: PARSE_LIMIT_CHARACTERS, templates: {} });

/**
 * Paths, below `templates/` as that of the page itself, of the layouts and parts that a Liquid page names as they stand, not
 * by a variable; some may leave that folder. Throws what is wrong with its Liquid, with the line.
 */
export function partsOfPage(text: string, path: string): string[] {
  const found = new Set<string>();
  for (const template of withChildren(parser.parse(text)))
    if ('file' in template && typeof template.file === 'string') {
      const isRelative = /^\.\.?\//.test(template.file);
      found.add(pathOfPart(isRelative ? posix.dirname(path) : '.', template.file));
    }
  return [...found];
}
