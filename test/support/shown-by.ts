import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A test by its file and exact title; where it is one of a table, with a text that its row holds. */
export type ShownBy<Name extends string> = readonly [file: Name, title: string, row?: string];

/** The options whose test is not there any more. `files`: spec files below `test/`, by the names the table has for them. */
export function lostTests<Name extends string>(
  shown: Readonly<Record<string, ShownBy<Name>>>,
  files: Readonly<Record<Name, string>>,
): string[] {
  return Object.entries(shown).flatMap(([option, [file, title, row = '']]) => {
    const text = readFileSync(join(import.meta.dirname, '..', files[file]), 'utf8');
    return text.includes(`'${title}'`) && text.includes(row)
      ? []
      : [`${option}: ${files[file]}: ${title} ${row}`.trimEnd()];
  });
}
