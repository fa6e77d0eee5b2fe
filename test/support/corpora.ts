import { existsSync } from 'node:fs';

const PLACES = [new URL('../../../shared/corpora/', import.meta.url).pathname, '/work/shared/corpora/'];

/** The folder of a corpus that others made, with `/` at its end; null, and a printed reason, where it is absent. */
export function corpusFolder(name: string): string | null {
  const found = PLACES.map((place) => `${place}${name}/`).find((folder) => existsSync(folder));
  if (found === undefined) console.log(`Left out: the corpus "${name}" is not at ../shared/corpora/${name}.`);
  return found ?? null;
}
