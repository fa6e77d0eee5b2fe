import { spawn } from 'node:child_process';
import { Client } from 'pg';
import { inject } from 'vitest';

export const ROOT = new URL('../..', import.meta.url).pathname;
const BUILD_LOCK = 7_305_021;

/** Compiles the product into `dist` where that is not done yet. Of several files that ask at once, one after the other. */
export async function build(): Promise<void> {
  const client = new Client({ connectionString: inject('adminDatabaseUrl') });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [BUILD_LOCK]);
    const built = await finished('npm', ['run', '-s', 'build'], process.env);
    if (built.code !== 0) throw new Error(`the build failed:\n${built.out}${built.error}`);
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
