import { dirname } from 'node:path';
import { labelsGiven, namesTaken } from './between-funnels.js';
import { checkNumber, documentsOf } from '../yaml/funnel-documents.js';
import { fieldProblemsInFiles } from './own-field-problems.js';
import { readFunnelFile } from '../yaml/funnel-file.js';
import { readFunnelText } from '../yaml/funnel-text.files.js';
import { FunnelSourcesService } from '../templates/funnel-sources.service.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { lintDefinition, outlineOf } from './lint.js';
import { byLine, type DefinitionProblem, type Finding } from './rules.js';
import { lostSequences } from './sequences-named.js';
import { located } from '../yaml/yaml-file.js';

interface LintedFile {
  file: string;
  findings: Finding[];
}

/**
 * Looks funnel files through without a database. They are taken together: what one names in another is looked for there.
 * Throws `FUNNEL_FILE_NOT_FOUND` and `FUNNEL_FILE_INVALID`.
 */
export async function lintFiles(paths: readonly string[], now: Date): Promise<LintedFile[]> {
  const texts: { name: string; text: string; before: number }[] = [];
  for (const name of paths)
    texts.push(...documentsOf(await readFunnelText(name)).map((one) => ({ name, ...one })));
  checkNumber(texts);
  const read = texts.map(({ name, text, before }) => ({ path: name, file: readFunnelFile(text, before) }));
  const good = read.flatMap(({ file }) =>
    file.ok ? [{ file, definition: file.definition, outline: outlineOf(file.definition) }] : [],
  );
  const sources = new FunnelSourcesService();
  const results: LintedFile[] = [];
  for (const { path, file } of read) {
    if (!file.ok) {
      results.push({ file: path, findings: file.problems });
      continue;
    }
    const others = good.filter((other) => other.file !== file);
    const problems = [
      ...lintDefinition(file.definition, { now, others: others.map(({ outline }) => outline) }),
      ...between(
        file.definition,
        others.map(({ definition }) => definition),
      ),
      ...(await sources.read(file.definition, dirname(path))).problems,
    ];
    results.push({ file: path, findings: located(file, problems).toSorted(byLine) });
  }
  return results;
}

/** What the database says of other funnels, from the files at hand. */
function between(definition: FunnelDefinition, others: readonly FunnelDefinition[]): DefinitionProblem[] {
  const keys = others.map((other) => other.funnel);
  const lost = lostSequences(definition, keys, ({ key, path }) => ({
    ...{ rule: 'sequence-elsewhere', path },
    message: `the sequence "${key}" is in none of the files; name its file as well, to have it looked at`,
  }));
  return [
    ...namesTaken(definition, others),
    ...lost,
    ...fieldProblemsInFiles(definition, others),
    ...labelsGiven(definition, others),
  ];
}
