import { posix } from 'node:path';
import { Liquid, toValueSync, type Template } from 'liquidjs';

const EXTENSION = '.liquid';
/** Far more than a page has. */
const PARSE_LIMIT_CHARACTERS = 2_000_000;
/** Parses only: no file is read. */
const parser = new Liquid({ parseLimit: PARSE_LIMIT_CHARACTERS, templates: {} });

/**
 * Paths, below `templates/` as that of the page itself, of the layouts and parts that a Liquid page names as they stand, not
 * by a variable. Throws what is wrong with its Liquid, with the line.
 */
export function partsOfPage(text: string, path: string): string[] {
  const found = new Set<string>();
  for (const template of withChildren(parser.parse(text)))
    if ('file' in template && typeof template.file === 'string') {
      const isRelative = /^\.\.?\//.test(template.file);
      const part = posix.join(isRelative ? posix.dirname(path) : '.', template.file);
      found.add(posix.extname(part) === '' ? `${part}${EXTENSION}` : part);
    }
  return [...found];
}

function* withChildren(templates: Iterable<Template>): Generator<Template> {
  for (const template of templates) {
    yield template;
    if (template.children) yield* withChildren(toValueSync<Template[]>(template.children(false, true)));
  }
}
