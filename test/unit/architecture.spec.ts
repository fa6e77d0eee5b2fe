import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../..', import.meta.url).pathname;

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts') && statSync(join(ROOT, path)).isFile());
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
/** Comments may speak of what the code must not do. */
const code = (path: string): string =>
  read(path)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '');
const offenders = (files: string[], pattern: RegExp): string[] =>
  files.filter((path) => pattern.test(code(path)));

describe('architecture', () => {
  const sources = filesBelow('src');
  const shell = /^src\/(infra\/|main\.ts|cli\.ts|application\.ts)/;

  it('reads the environment in config/env.ts only', () => {
    expect(offenders(sources, /process\.env/)).toEqual([]);
  });

  it('takes the time from the clock and chance from crypto', () => {
    const inside = sources.filter((path) => !shell.test(path));
    expect(offenders(inside, /new Date\(\)|Date\.now\(\)|DateTime\.(now|utc\(\)|local\(\))/)).toEqual([]);
    expect(offenders(sources, /Math\.random\(/)).toEqual([]);
  });

  it('loads the application in commands that work with it only: --help and simulate take half a second', () => {
    const commands = sources.filter((path) => path.endsWith('.command.ts'));
    expect(commands.length).toBeGreaterThan(5);
    const heavy = /^import (?!type)[^;]*(\.services?|\/application|\.probe|\.templates)\.js'/m;
    expect(offenders(commands, heavy)).toEqual([]);
  });

  it('has no forwardRef, no type given up, no mailbox for leftovers', () => {
    expect(offenders(sources, /forwardRef|: any\b|as any\b|as unknown as|@ts-ignore/)).toEqual([]);
    expect(
      sources.filter((path) => /\/(utils?|helpers?|common|shared|misc|core|base)(\/|\.ts$)/.test(path)),
    ).toEqual([]);
  });

  it('keeps files under 400 lines', () => {
    const long = [...sources, ...filesBelow('test'), ...filesBelow('config')].filter(
      (path) => read(path).split('\n').length > 401,
    );
    expect(long).toEqual([]);
  });

  it('keeps constructors at six dependencies', () => {
    const wide = sources.filter((path) => {
      const parameters = /constructor\(([\s\S]*?)\)\s*\{/.exec(code(path))?.[1] ?? '';
      return (parameters.match(/private readonly/g)?.length ?? 0) > 6;
    });
    expect(wide).toEqual([]);
  });

  it('has no role of a file that CONTRIBUTING.md does not explain', () => {
    const explained = new Set(
      read('CONTRIBUTING.md')
        .match(/^  \| `\.[^|]*/gm)
        ?.join()
        .match(/\.[a-z]+/g),
    );
    const roles = new Set(sources.flatMap((path) => /(\.[a-z]+)\.ts$/.exec(path)?.[1] ?? []));
    expect([...roles].filter((role) => !explained.has(role))).toEqual([]);
    expect(roles.size).toBeGreaterThan(10);
  });

  it('gives every module folder its module file', () => {
    const folders = new Set(sources.flatMap((path) => /^src\/([a-z]+)\//.exec(path)?.[1] ?? []));
    folders.delete('values');
    folders.delete('infra');
    folders.delete('commands');
    expect([...folders].filter((name) => !sources.includes(`src/${name}/${name}.module.ts`))).toEqual([]);
  });
});
