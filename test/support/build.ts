import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { inject } from 'vitest';

export const ROOT = new URL('../..', import.meta.url).pathname;
const BUILD_LOCK = 7_305_021;

/** Compiles the product into `dist`, once in a run of the tests, whichever files ask for it and when. */
export async function buildOnce(): Promise<void> {
  const [adminUrl, run] = [inject('adminDatabaseUrl'), inject('templateDatabase')];
  const marker = join(ROOT, 'dist', '.built-for-test-run');
  const client = new Client({ connectionString: adminUrl });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [BUILD_LOCK]);
    if ((await readFile(marker, 'utf8').catch(() => '')) === run) return;
    const built = await finished('npm', ['run', '-s', 'build'], process.env);
    if (built.code !== 0) throw new Error(`the build failed:\n${built.out}${built.error}`);
    await writeFile(marker, run);
  } finally {
    await client.end();
  }
}

export interface Finished {
  code: number | null;
  out: string;
  error: string;
}

/** Runs a command in the project's folder to its end. */
export async function finished(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, env });
    let [out, error] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()));
    child.once('close', (code) => resolve({ code, out, error }));
  });
}
