import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
/** Of a statement within quotation marks: the fault comes when one that begins so passes on its way to PostgreSQL. */
const STATEMENT =
  /['`]((?:select|update|insert into|with|create temp table|copy) [^'`]*?)(?: \$\{[^'`]*)?['`]/g;

/** A scenario whose place is never reached proves nothing, and says so only in the long form of the faults. */
it('every statement at which a scenario does harm is one of ours', async () => {
  const ours = await textsOf('src');
  const wanted = new Set<string>();
  for (const text of await linesWith(/statement: |^const [A-Z]+ = ['`]/))
    for (const [, statement = ''] of text.matchAll(STATEMENT)) wanted.add(statement);
  expect(wanted.size).toBeGreaterThan(10);
  expect([...wanted].filter((statement) => !ours.includes(statement))).toEqual([]);
});

async function linesWith(pattern: RegExp): Promise<string[]> {
  return (await textsOf('test/fault/scenarios')).split('\n').filter((line) => pattern.test(line));
}

async function textsOf(folder: string): Promise<string> {
  const names = await readdir(join(ROOT, folder), { recursive: true });
  const files = names.filter((name) => name.endsWith('.ts'));
  return (await Promise.all(files.map(async (name) => readFile(join(ROOT, folder, name), 'utf8')))).join(
    '\n',
  );
}
