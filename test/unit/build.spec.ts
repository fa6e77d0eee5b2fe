import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Stands in for the compiler, which takes half a minute: writes what it is asked for, or fails half-way. */
const COMPILER = `
const { appendFileSync, existsSync, mkdirSync, writeFileSync } = require('node:fs');
appendFileSync('builds', 'x');
mkdirSync('dist/src', { recursive: true });
writeFileSync('dist/src/main.js', '');
if (existsSync('edited-meanwhile')) appendFileSync('src/main.ts', '//');
process.exit(existsSync('broken') ? 1 : 0);
`;

describe('npm run build', () => {
  let folder: string;
  const at = (path: string): string => join(folder, path);
  const write = (path: string, text: string): void => {
    mkdirSync(join(at(path), '..'), { recursive: true });
    writeFileSync(at(path), text);
  };
  const build = (): { status: number | null; builds: number } => {
    const { status } = spawnSync(process.execPath, [at('config/build.mjs')], {
      cwd: folder,
      timeout: 20_000,
    });
    return { status, builds: readFileSync(at('builds'), 'utf8').length };
  };

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wellspring-build-'));
    for (const path of ['package-lock.json', 'nest-cli.json', 'tsconfig.json', 'tsconfig.build.json'])
      write(path, '{}');
    write('src/main.ts', 'export {};');
    write('node_modules/@nestjs/cli/bin/nest.js', COMPILER);
    write('builds', '');
    cpSync(join(import.meta.dirname, '../../config/build.mjs'), at('config/build.mjs'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('compiles what is new, and what it has compiled not again', () => {
    expect(build()).toEqual({ status: 0, builds: 1 });
    expect(build()).toEqual({ status: 0, builds: 1 });
    write('src/new.ts', '');
    expect(build()).toEqual({ status: 0, builds: 2 });
    rmSync(at('src/new.ts'));
    expect(build()).toEqual({ status: 0, builds: 3 });
    rmSync(at('dist/src/main.js'));
    expect(build()).toEqual({ status: 0, builds: 4 });
  });

  it('fails with the compiler, also the next time, and never takes a failed build for a good one', () => {
    write('broken', '');
    write('src/main.ts', 'export const a = 1;');
    expect(build()).toEqual({ status: 1, builds: 5 });
    expect(build()).toEqual({ status: 1, builds: 6 });
    // Back to what was compiled before: but the failed one has written over it.
    write('src/main.ts', 'export {};');
    rmSync(at('broken'));
    expect(build()).toEqual({ status: 0, builds: 7 });
  });

  it('compiles again what was edited while it compiled', () => {
    write('edited-meanwhile', '');
    write('src/main.ts', 'export const b = 1;');
    expect(build()).toEqual({ status: 0, builds: 8 });
    expect(existsSync(at('dist/.built-from'))).toBe(false);
    rmSync(at('edited-meanwhile'));
    expect(build()).toEqual({ status: 0, builds: 9 });
    expect(build()).toEqual({ status: 0, builds: 9 });
  });
});
