import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TEMPLATES_DIR } from '../../infra/http/templates-dir.js';
import type { Texts } from '../../values/template-texts.js';
import type { Sources } from '../changes/funnel-diff.js';
import { mailNames } from './funnel-templates.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';

/**
 * Hashes of mails as versions had them before texts were kept: over all layouts of the folder and the mail. Only to tell
 * whether a mail has changed since such a version.
 */
export async function mailHashesOfBefore(definition: FunnelDefinition, texts: Texts): Promise<Sources> {
  const folder = join(TEMPLATES_DIR, 'layouts');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.mjml')).toSorted();
  const layouts = createHash('sha256');
  for (const name of names) layouts.update(name).update(await readFile(join(folder, name)));
  const all = layouts.digest('hex');
  const hashOf = (name: string): string =>
    createHash('sha256')
      .update(all)
      .update(texts[`${name}.mjml`] ?? '')
      .digest('hex');
  return Object.fromEntries(mailNames(definition).map((name) => [name, hashOf(name)]));
}
