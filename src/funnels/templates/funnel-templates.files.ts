import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { TEMPLATES_DIR } from '../../infra/http/templates-dir.js';
import type { Texts } from '../../values/template-texts.js';
import { fileBeside, insideOf } from '../files/delivered.files.js';
import type { ReadTemplate } from './funnel-templates.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from '../lint/rules.js';

/** Those of the folder `templates`, where the file brings none of its own. */
export function templatesReader(own: Texts): ReadTemplate {
  return async (path) => own[path] ?? readFile(insideOf(TEMPLATES_DIR, path), 'utf8').catch(() => null);
}

/** The texts that a funnel file brings, and what is wrong with those that it names as files. */
export async function ownTemplates(
  { templates = {} }: FunnelDefinition,
  folder: string | null,
): Promise<{ texts: Texts; problems: DefinitionProblem[] }> {
  const texts: Record<string, string> = {};
  const problems: DefinitionProblem[] = [];
  for (const [path, given] of Object.entries(templates)) {
    if (typeof given === 'string') {
      texts[path] = given;
      continue;
    }
    const text = await textOf(given.file, folder);
    if ('text' in text) texts[path] = text.text;
    else problems.push({ rule: 'unknown-file', path: ['templates', path, 'file'], message: text.message });
  }
  return { texts, problems };
}

async function textOf(file: string, folder: string | null): Promise<{ text: string } | { message: string }> {
  if (folder === null)
    return { message: `${file} is not at hand, as a request carries no files; write the text itself here` };
  const found = await fileBeside(folder, file);
  if ('problem' in found) return { message: found.problem };
  const bytes = await readFile(found.path).catch(() => null);
  if (bytes === null) return { message: `the file ${file} cannot be read` };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { message: `${file} is not saved as UTF-8` };
  }
}

/**
 * A folder that holds the texts, for as long as `work` takes: MJML reads what a mail includes from one. So a mail is made
 * of the texts that are kept with it, whatever is written to the folder `templates` meanwhile.
 */
export async function inTemplateFolder<T>(texts: Texts, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'wellspring-templates-'));
  try {
    for (const [path, text] of Object.entries(texts)) {
      const file = insideOf(folder, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    }
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
