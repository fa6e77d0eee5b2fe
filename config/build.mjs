/**
 * `nest build`, unless what is in `dist` was made of these very files: it takes a while on a small machine, and
 * `npm start` and every command go through here. By contents, as times of files say nothing after a checkout or a copy.
 * Types are checked by `npm run check` and not here: that would take more than twice as long (58 s of processor time
 * where this takes 24) before the first page is seen.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const STAMP = join(ROOT, 'dist', '.built-from');
const MAIN = join(ROOT, 'dist', 'src', 'main.js');

const present = hashOfSources();

if (present !== stamp() || !existsSync(MAIN)) {
  // A build that fails or is interrupted has written some of its files all the same.
  rmSync(STAMP, { force: true });
  const nest = join(ROOT, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
  const { status } = spawnSync(process.execPath, [nest, 'build'], { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  // Not of what was edited meanwhile.
  if (hashOfSources() === present) writeFileSync(STAMP, present);
}

function hashOfSources() {
  const sources = [
    ...['package-lock.json', 'nest-cli.json', 'tsconfig.json', 'tsconfig.build.json'],
    ...below('src'),
    ...below('config').filter((path) => path.endsWith('.ts')),
  ].sort();
  const hash = createHash('sha256');
  for (const path of sources) hash.update(`${path}\0`).update(readFileSync(join(ROOT, path)));
  return hash.digest('hex');
}

function below(folder) {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1));
}

function stamp() {
  try {
    return readFileSync(STAMP, 'utf8');
  } catch {
    return null;
  }
}
