import { dirname } from 'node:path';
import { readFunnelFile, type FunnelFile } from './funnel-file.js';
import { readFunnelText } from './funnel-text.files.js';
import { FunnelSourcesService } from './funnel-sources.service.js';
import type { FunnelDefinition } from './funnel.schemas.js';
import { lintDefinition, outlineOf } from './lint/lint.js';
import { byLine, type DefinitionProblem, type Finding } from './lint/rules.js';
import { lostSequences } from './sequences-named.js';
import { located } from './yaml-file.js';

export interface LintedFile {
  file: string;
  findings: Finding[];
}

/**
 * Looks funnel files through without a database. They are taken together: what one names in another is looked for there.
 * Throws `FUNNEL_FILE_NOT_FOUND` and `FUNNEL_FILE_INVALID`.
 */
export async function lintFiles(paths: readonly string[], now: Date): Promise<LintedFile[]> {
  const read = new Map<string, FunnelFile>();
  for (const path of paths) read.set(path, readFunnelFile(await readFunnelText(path)));
  const good = [...read].flatMap(([path, file]) =>
    file.ok ? [{ path, definition: file.definition, outline: outlineOf(file.definition) }] : [],
  );
  const sources = new FunnelSourcesService();
  const results: LintedFile[] = [];
  for (const [path, file] of read) {
    if (!file.ok) {
      results.push({ file: path, findings: file.problems });
      continue;
    }
    const others = good.filter((other) => other.path !== path);
    const problems = [
      ...lintDefinition(file.definition, { now, others: others.map(({ outline }) => outline) }),
      ...between(
        file.definition,
        others.map(({ definition }) => definition),
      ),
      ...(await sources.problems(file.definition, dirname(path))),
    ];
    results.push({ file: path, findings: located(file, problems).toSorted(byLine) });
  }
  return results;
}

/** What the database says of other funnels, from the files at hand. */
function between(definition: FunnelDefinition, others: readonly FunnelDefinition[]): DefinitionProblem[] {
  const { funnel, form, products, offers } = definition;
  const taken = (kind: string, key: string, path: PropertyKey[], keys: (of: FunnelDefinition) => string[]) =>
    others
      .filter((other) => keys(other).includes(key))
      .map(({ funnel: other }): DefinitionProblem => {
        const message = `the ${kind} "${key}" belongs to the funnel "${other}"; choose another name`;
        return { rule: 'name-taken', path, message };
      });
  const names = [
    ...taken('funnel', funnel, ['funnel'], (other) => [other.funnel]),
    ...taken('form', form.slug, ['form', 'slug'], (other) => [other.form.slug]),
    ...products.flatMap(({ key }, index) =>
      taken('product', key, ['products', index, 'key'], (other) => other.products.map((one) => one.key)),
    ),
    ...offers.flatMap(({ key }, index) =>
      taken('offer', key, ['offers', index, 'key'], (other) => other.offers.map((one) => one.key)),
    ),
  ];
  const keys = others.map((other) => other.funnel);
  const lost = lostSequences(definition, keys, ({ key, path }) => ({
    ...{ rule: 'sequence-elsewhere', path },
    message: `the sequence "${key}" is in none of the files; name its file as well, to have it looked at`,
  }));
  return [...names, ...lost];
}
