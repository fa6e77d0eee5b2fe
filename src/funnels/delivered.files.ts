import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { DomainError } from '../values/domain-error.js';
import type { Sources } from './funnel-diff.js';
import type { NamedTemplate } from './funnel-templates.js';
import type { FunnelDefinition } from './funnel.schemas.js';
import type { DefinitionProblem } from './lint/rules.js';

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
    const found = await stat(insideOf(folder, name)).catch(() => null);
    const rule = 'unknown-file';
    if (found === null) return [{ rule, path, message: `there is no file ${name} beside the funnel file` }];
    return found.isFile()
      ? []
      : [{ rule, path, message: `${name} is a folder; name the files in it one by one` }];
  });
  return (await Promise.all(problems)).flat();
}

/** SHA-256 of each. `known`: of those that an earlier apply has stored, where no folder is at hand. */
export async function fileHashes(
  definition: FunnelDefinition,
  folder: string | null,
  known: Sources,
): Promise<Sources> {
  const hashes: Record<string, string> = {};
  for (const { name } of filesOf(definition))
    hashes[name] = folder === null ? (known[name] ?? '') : await fileHash(insideOf(folder, name));
  return hashes;
}

async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
