import { createRequire } from 'node:module';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { ANY_ADDRESS } from '../../src/bounces/addresses.js';
import { ADDRESS_LINE, TOLD } from '../../src/bounces/text-report.js';

/** What is used of `scslre`, which finds patterns that take more than their share of time for a run of one character. */
interface Scslre {
  analyse(pattern: { source: string; flags: string }): {
    reports: { type: string; character: { pick: string } }[];
  };
}

const scslre = createRequire(import.meta.url)('scslre') as Scslre;
const SRC = new URL('../../src/', import.meta.url).pathname;

/**
 * Patterns that are slow in a long text, and never see one: each with what keeps it short. Whatever reads what strangers
 * send, such as mails, forms and headers, has no place here, unless its text is cut before.
 */
const ONLY_SHORT: Readonly<Record<string, string>> = {
  'values/name-list.ts': 'finds something at every place where it is tried, so no place is tried twice',
  'imports/import-row.ts': 'finds something at every place where it is tried, so no place is tried twice',
  'tracking/user-agent.ts': 'a user agent, cut to 500 characters when the hit comes in',
  'values/email-address.ts': 'an address, refused before when it has more than 1,000 characters',
  'delivery/mails/': 'the owner’s own mails',
  'delivery/preflight/': 'the owner’s own mails',
};
/** What strangers send is read here; patterns that are put together from parts are looked at one by one. */
const OF_STRANGERS = /^(?:bounces|signup|tracking|values|infra\/http)\//;

interface Found {
  file: string;
  source: string;
  flags: string;
}

function slowOnes(patterns: readonly Found[]): string[] {
  return patterns.flatMap(({ file, source, flags }) => {
    const { reports } = scslre.analyse({ source, flags: flags.replace('g', '') });
    return reports.map(
      ({ character }) => `${file}: a long run of ${JSON.stringify(character.pick)} in /${source}/${flags}`,
    );
  });
}

function patternsIn(file: string): Found[] {
  const tree = ts.createSourceFile(file, readFileSync(join(SRC, file), 'utf8'), ts.ScriptTarget.Latest);
  const found: Found[] = [];
  const walk = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/');
      found.push({ file, source: node.text.slice(1, end), flags: node.text.slice(end + 1) });
    }
    ts.forEachChild(node, walk);
  };
  walk(tree);
  return found;
}

describe('patterns', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );

  it('take no longer for a run of one character than for any other text', () => {
    const patterns = files.flatMap(patternsIn);
    expect(patterns.length).toBeGreaterThan(500);
    const slow = slowOnes(patterns);
    const allowed = (line: string): boolean =>
      Object.keys(ONLY_SHORT).some((place) => line.startsWith(place));
    expect(slow.filter((line) => !allowed(line))).toEqual([]);
  }, 120_000);

  it('that are put together from parts do so neither', () => {
    const together = files.filter(
      (file) => OF_STRANGERS.test(file) && readFileSync(join(SRC, file), 'utf8').includes('new RegExp('),
    );
    expect(together.toSorted()).toEqual(['bounces/addresses.ts', 'bounces/text-report.ts']);
    const built = [ANY_ADDRESS, ADDRESS_LINE, ...TOLD].map(({ source, flags }) => ({
      file: 'bounces',
      source,
      flags,
    }));
    expect(slowOnes(built)).toEqual([]);
  }, 120_000);
});
