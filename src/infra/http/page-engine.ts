import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { Liquid } from 'liquidjs';
import { PAGE_EXTENSION, pathOfPart, staysInTemplates } from '../../values/template-paths.js';
import { registerLiquidFilters } from './liquid-filters.js';
import { TEMPLATES_DIR } from './templates-dir.js';
import { PARSE_LIMIT_CHARACTERS } from '../../values/page-parts.js';

/** Pages are small; these bounds only stop a template that went wrong from taking the process with it. */
const RENDER_LIMIT_MS = 2_000;
const MEMORY_LIMIT_UNITS = 20_000_000;

/** Liquid asks for files below it; so paths are those below `templates/`. */
const ROOT = '.';

/**
 * What renders the Liquid pages of `templates/`. Output is escaped unless a template says `| raw`.
 * @param texts take the place of files, by their path below `templates/`.
 */
export function pageEngine(texts: Readonly<Record<string, string>> = {}): Liquid {
  const kept = new Map(Object.entries(texts));
  const engine = new Liquid({
    root: ROOT,
    layouts: ROOT,
    partials: ROOT,
    extname: PAGE_EXTENSION,
    fs: {
      sep: '/',
      dirname: (file) => posix.dirname(file),
      resolve: pathOfPart,
      containsSync: (_, path) => staysInTemplates(path),
      contains: async (_, path) => Promise.resolve(staysInTemplates(path)),
      existsSync: (path) => kept.has(path) || existsSync(join(TEMPLATES_DIR, path)),
      exists: async (path) => Promise.resolve(kept.has(path) || existsSync(join(TEMPLATES_DIR, path))),
      readFileSync: (path) => kept.get(path) ?? readFileSync(join(TEMPLATES_DIR, path), 'utf8'),
      readFile: async (path) => kept.get(path) ?? readFile(join(TEMPLATES_DIR, path), 'utf8'),
    },
    outputEscape: 'escape',
    // A view may hold what a visitor typed: without this, a name such as `constructor` would reach into JavaScript.
    ownPropertyOnly: true,
    cache: true,
    parseLimit: PARSE_LIMIT_CHARACTERS,
    renderLimit: RENDER_LIMIT_MS,
    memoryLimit: MEMORY_LIMIT_UNITS,
  });
  registerLiquidFilters(engine);
  return engine;
}

/**
 * @param template path below `templates/` without its ending: `pages/confirm`.
 * @param view plain values; `locale` in it decides how the filter `money` writes amounts.
 * Throws when the template is missing or broken.
 */
export async function renderPage(engine: Liquid, template: string, view: object): Promise<string> {
  const globals = { locale: 'locale' in view ? view.locale : undefined };
  return String(await engine.renderFile(template, view, { globals }));
}
