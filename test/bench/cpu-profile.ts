import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[];
  samples: number[];
  timeDeltas: number[];
}

/** Where a process that ran with `--cpu-prof` spent its time, in milliseconds by part of the program, longest first. */
export async function partsOfProfile(folder: string): Promise<[part: string, ms: number][]> {
  const parts = new Map<string, number>();
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile'))) {
    const { nodes, samples, timeDeltas } = JSON.parse(
      await readFile(join(folder, file), 'utf8'),
    ) as CpuProfile;
    const partOf = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
    samples.forEach((id, i) => {
      const part = partOf.get(id) ?? 'unknown';
      parts.set(part, (parts.get(part) ?? 0) + (timeDeltas[i] ?? 0) / 1000);
    });
  }
  return [...parts].toSorted(([, a], [, b]) => b - a);
}

function nameOf({ functionName, url }: { functionName: string; url: string }): string {
  if (url === '') return functionName.startsWith('(') ? functionName : 'built in';
  const library = /node_modules\/((?:@[^/]+\/)?[^/]+)(?!.*node_modules)/.exec(url)?.[1];
  if (library !== undefined) return library;
  const own = /\/dist\/(src\/.+)\.js$/.exec(url)?.[1];
  return own ?? (url.startsWith('node:') ? url.replace(/^node:(internal\/)?([^/]+).*$/, 'node $2') : url);
}
