import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The folder `templates` beside `package.json`. Found by walking up, because this file runs from `src` in tests and
 * from `dist/src` in a build, and the process may be started from anywhere.
 */
export const TEMPLATES_DIR = join(projectRoot(import.meta.dirname), 'templates');

function projectRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) throw new Error(`No package.json above ${start}`);
  }
}
