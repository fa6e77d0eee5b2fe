import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { atSignal } from './at-signal.js';

export interface WorkerOptions {
  databaseUrl: string;
  smtpUrl: string;
  dataDir: string;
  /** Modules for `node --import`: how a fault gets into the process without the product knowing of it. */
  preload?: readonly string[];
  nodeOptions?: readonly string[];
  env?: Readonly<Record<string, string>>;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** The same for every process on one database, as in production. */
export const SECRET_KEY = 'a secret of the test programs, long enough';
const START_TIMEOUT_MS = 180_000;
const STOP_TIMEOUT_MS = 120_000;

/** A worker of the product as it runs in production: a process of its own, told only by its environment. */
export class WorkerProcess {
  readonly exited: Promise<Exit>;
  #output = '';
  #exit: Exit | null = null;

  private constructor(private readonly child: ChildProcess) {
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-20_000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    const forgetSignal = atSignal(() => child.kill('SIGKILL'));
    this.exited = new Promise((resolve) =>
      child.once('exit', (code, signal) => {
        forgetSignal();
        resolve((this.#exit = { code, signal }));
      }),
    );
  }

  static start(options: WorkerOptions): WorkerProcess {
    const imports = (options.preload ?? []).flatMap((module) => ['--import', module]);
    const main = join(import.meta.dirname, '../../src/main.js');
    const child = spawn(process.execPath, [...(options.nodeOptions ?? []), ...imports, main], {
      env: {
        PATH: process.env['PATH'],
        TZ: 'UTC',
        ROLES: 'worker',
        DEMO: 'false',
        DATABASE_URL: options.databaseUrl,
        SMTP_URL: options.smtpUrl,
        DATA_DIR: options.dataDir,
        SECRET_KEY,
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new WorkerProcess(child);
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the worker did not start');
    return this.child.pid;
  }

  get running(): boolean {
    return this.#exit === null;
  }

  /** The end of what it printed. */
  get output(): string {
    return this.#output;
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) this.child.kill(name);
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** As an operator stops it; kills it when that takes far longer than it may on a busy machine. */
  async stop(): Promise<Exit> {
    this.signal('SIGTERM');
    const timeout = new AbortController();
    const late = sleep(STOP_TIMEOUT_MS, null, { signal: timeout.signal, ref: false }).catch(() => null);
    const exit = await Promise.race([this.exited, late]);
    timeout.abort();
    if (exit !== null) return exit;
    await this.kill();
    return this.exited;
  }
}

/** Waits until so many workers listen for wake-ups on this database: from then on a commit starts them at once. */
export async function workersReady(client: Client, workers: readonly WorkerProcess[]): Promise<void> {
  const listening = async (): Promise<boolean> => {
    const dead = workers.find(({ running }) => !running);
    if (dead) throw new Error(`a worker ended at its start:\n${dead.output}`);
    const { rows } = await client.query<{ count: string }>(
      `select count(*) from pg_stat_activity where datname = current_database()
         and application_name = 'wellspring wake' and query ~* '^(listen|select 1)'`,
    );
    return Number(rows[0]?.count ?? 0) >= workers.length;
  };
  if (!(await becomesTrue(listening, START_TIMEOUT_MS)))
    throw new Error(`the workers did not become ready:\n${workers.map(({ output }) => output).join('\n')}`);
}
