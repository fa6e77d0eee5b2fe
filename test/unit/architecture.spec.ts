import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
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

  it('writes a table in one module, but for what CONTRIBUTING.md names', () => {
    const tables = new Set(read('test/fixtures/schema.txt').match(/^\w+(?=\.\w+ )/gm));
    expect(tables.size).toBeGreaterThan(50);
    const writers = new Map<string, Set<string>>();
    for (const path of sources.filter((one) => !one.includes('/migrations/')))
      for (const [, table = ''] of code(path).matchAll(/(?:insert into|delete from|update) (\w+)/g))
        if (tables.has(table))
          writers.set(table, new Set([...(writers.get(table) ?? []), path.split('/')[1] ?? '']));
    const shared = [...writers].filter(([, modules]) => modules.size > 1);
    expect(Object.fromEntries(shared.map(([table, modules]) => [table, [...modules].sort()]))).toEqual({
      broadcast: ['broadcasts', 'delivery'],
      enrollment: ['delivery', 'sequences'],
      enrollment_offer: ['delivery', 'sequences'],
      import_row: ['imports', 'subscribers'],
      setting: ['delivery', 'infra', 'sequences', 'tracking'],
    });
  });

  it('has every file that its documents name', () => {
    const documents = [
      'README.md',
      'CONTRIBUTING.md',
      ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`),
    ];
    const named = documents
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) =>
        [...read(path).matchAll(/`((?:src|test|config|templates|docs)\/[\w./-]+)`/g)].map(
          ([, name]) => name ?? '',
        ),
      );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
  });

  it('gives every module folder its module file', () => {
    const folders = new Set(sources.flatMap((path) => /^src\/([a-z]+)\//.exec(path)?.[1] ?? []));
    folders.delete('values');
    folders.delete('infra');
    folders.delete('commands');
    expect([...folders].filter((name) => !sources.includes(`src/${name}/${name}.module.ts`))).toEqual([]);
  });
});
