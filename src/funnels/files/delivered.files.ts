import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { DomainError } from '../../values/domain-error.js';
import type { NamedTemplate } from '../templates/funnel-templates.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from '../lint/rules.js';

/** The path of a file of the funnel, or a refusal when it would leave the folder of the funnel. */
export function insideOf(folder: string, name: string): string {
  const path = resolve(folder, name);
  if (!path.startsWith(resolve(folder) + sep)) {
    throw new DomainError('FUNNEL_FILE_INVALID', `${name} lies outside the folder of the funnel file`, {
      name,
    });
  }
  return path;
}

/**
 * Where a file beside the funnel file lies, behind whatever links lead to it, or why it is none. A link that leaves the folder
 * would sell, or export, whatever the process may read.
 */
export async function fileBeside(
  folder: string,
  name: string,
): Promise<{ path: string } | { problem: string }> {
  const there = await realpath(insideOf(folder, name)).catch(() => null);
  if (there === null) return { problem: `there is no file ${name} beside the funnel file` };
  if (!there.startsWith((await realpath(folder)) + sep))
    return {
      problem: `${name} is a link that leads out of the folder of the funnel file; put the file there`,
    };
  const found = await stat(there);
  if (found.isDirectory()) return { problem: `${name} is a folder; name the files in it one by one` };
  return found.isFile() ? { path: there } : { problem: `${name} is no file that can be read to an end` };
}

/** As `fileBeside`. Throws `FUNNEL_FILE_INVALID` for what has become none since it was looked at. */
export async function pathBeside(folder: string, name: string): Promise<string> {
  const found = await fileBeside(folder, name);
  if ('path' in found) return found.path;
  throw new DomainError('FUNNEL_FILE_INVALID', found.problem, { name });
}

/** What a funnel promises and sells, and where the definition names it. */
export function filesOf({ form, products }: FunnelDefinition): NamedTemplate[] {
  const magnet =
    form.leadMagnet === undefined ? [] : [{ name: form.leadMagnet, path: ['form', 'leadMagnet'] }];
  const delivered = products.flatMap((product, index) =>
    product.delivers.map((name, place) => ({ name, path: ['products', index, 'delivers', place] })),
  );
  return [...magnet, ...delivered];
}

export async function fileProblems(
  definition: FunnelDefinition,
  folder: string | null,
): Promise<DefinitionProblem[]> {
  if (folder === null) return [];
  const problems = filesOf(definition).map(async ({ name, path }): Promise<DefinitionProblem[]> => {
    const found = await fileBeside(folder, name);
    return 'path' in found ? [] : [{ rule: 'unknown-file', path, message: found.problem }];
  });
  return (await Promise.all(problems)).flat();
}

/** SHA-256, as hex. */
export async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
