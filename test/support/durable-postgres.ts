import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { chown, copyFile, mkdtemp, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/infra/database/embedded-postgres.js';
import { migrate, openDataSource } from '../../src/infra/database/migrate.js';
import { becomesTrue, findPostmaster } from '../../src/infra/database/postmaster.js';
import { atSignal } from './at-signal.js';

const run = promisify(execFile);
const TEMPLATE = 'proof_template';
const CRASH_TIMEOUT_MS = 60_000;

/** The product's own PostgreSQL with its durable settings: what is measured and what is crashed must be the real thing. */
export class DurablePostgres {
  #databases = 0;
  #pid = 0;
  readonly #forgetSignal: () => void;

  private constructor(
    readonly dataDir: string,
    private server: EmbeddedPostgres,
  ) {
    this.#forgetSignal = atSignal(() => {
      if (this.#pid > 0) process.kill(this.#pid, 'SIGQUIT');
      rmSync(dataDir, { recursive: true, force: true });
    });
  }

  static async start(): Promise<DurablePostgres> {
    const dataDir = await realpath(await mkdtemp(join(tmpdir(), 'wellspring-proof-')));
    const cluster = new DurablePostgres(dataDir, await startEmbeddedPostgres(options(dataDir)));
    cluster.#pid = await cluster.pid();
    await cluster.as('postgres', (client) => client.query(`create database ${TEMPLATE}`));
    const dataSource = await openDataSource(cluster.url(TEMPLATE));
    try {
      await migrate(dataSource);
    } finally {
      await dataSource.destroy();
    }
    return cluster;
  }

  /** Where the server is reached now: the port is another one after a crash. */
  get address(): { host: string; port: number } {
    const { hostname, port } = new URL(this.server.url);
    return { host: hostname, port: Number(port) };
  }

  url(database: string, at = this.address): string {
    const url = new URL(this.server.url);
    url.hostname = at.host;
    url.port = String(at.port);
    url.pathname = `/${database}`;
    return url.href;
  }

  async pid(): Promise<number> {
    const postmaster = await findPostmaster(join(this.dataDir, 'postgres'));
    if (postmaster === undefined) throw new Error('PostgreSQL does not run');
    return postmaster.pid;
  }

  /** A migrated database without rows; returns its name. */
  async createDatabase(template = TEMPLATE): Promise<string> {
    const name = `proof_${++this.#databases}`;
    await this.as('postgres', (client) => client.query(`create database ${name} template ${template}`));
    return name;
  }

  async dropDatabase(name: string): Promise<void> {
    await this.as('postgres', (client) => client.query(`drop database if exists ${name} with (force)`));
  }

  async as<T>(database: string, work: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client({ connectionString: this.url(database) });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** What `pg_ctl stop -m immediate` does: every process ends at once, nothing is written out. */
  async crash(): Promise<void> {
    const pid = await this.pid();
    this.#pid = 0;
    process.kill(pid, 'SIGQUIT');
    const gone = async (): Promise<boolean> =>
      (await findPostmaster(join(this.dataDir, 'postgres'))) === undefined;
    if (!(await becomesTrue(gone, CRASH_TIMEOUT_MS))) throw new Error('PostgreSQL did not end');
    await this.server.stop();
  }

  /** None of its processes does anything while `work` is done, and none of its connections ends. */
  async standingStill<T>(work: () => Promise<T>): Promise<T> {
    const pid = await this.pid();
    const { stdout } = await run('ps', ['-o', 'pid=', '--ppid', String(pid)]);
    const all = [
      pid,
      ...stdout
        .split('\n')
        .map(Number)
        .filter((one) => one > 0),
    ];
    const signal = (name: NodeJS.Signals): void => {
      for (const one of all)
        try {
          process.kill(one, name);
        } catch {
          // It has ended since.
        }
    };
    signal('SIGSTOP');
    try {
      return await work();
    } finally {
      signal('SIGCONT');
    }
  }

  /** Replays its log, as after a power cut. */
  async restart(settings: Record<string, string> = {}): Promise<void> {
    const { settings: usual, ...rest } = options(this.dataDir);
    this.server = await startEmbeddedPostgres({ ...rest, settings: { ...usual, ...settings } });
    this.#pid = await this.pid();
  }

  /** After it has ended, or may have ended, by itself. */
  async revive(): Promise<void> {
    this.#pid = 0;
    await this.server.stop();
    await this.restart();
  }

  /** Its files may be moved meanwhile. */
  async whileStopped(work: () => Promise<void>): Promise<void> {
    await this.server.stop();
    try {
      await work();
    } finally {
      // Whoever comes next is not to find it gone.
      await this.restart();
    }
  }

  /** A copy of all files while the server is down, as a disk snapshot has it; the server runs again afterwards. */
  async backUp(): Promise<void> {
    await this.server.stop();
    await run('cp', ['-a', join(this.dataDir, 'postgres'), this.#backup]);
    await this.restart();
  }

  /** A base backup of the running server, with the log that makes it whole; what `pg_basebackup` does. */
  async backUpLive(): Promise<void> {
    const from = join(this.dataDir, 'postgres');
    await this.as('postgres', async (client) => {
      await client.query(`select pg_backup_start('fault', true)`);
      // Files come and go meanwhile, and that those are missing is all that `cp` complains of.
      await run('cp', ['-a', from, this.#backup]).catch(() => undefined);
      const { rows } = await client.query<{ labelfile: string }>(
        'select labelfile from pg_backup_stop(false)',
      );
      for (const { name } of (await readdir(join(from, 'pg_wal'), { withFileTypes: true })).filter((one) =>
        one.isFile(),
      ))
        await this.#put(join('pg_wal', name), async (to) => copyFile(join(from, 'pg_wal', name), to));
      await this.#put('backup_label', async (to) => writeFile(to, rows[0]?.labelfile ?? ''));
    });
    await rm(join(this.#backup, 'postmaster.pid'), { force: true });
  }

  /** Into the backup, as the server's own. */
  async #put(path: string, write: (to: string) => Promise<void>): Promise<void> {
    const to = join(this.#backup, path);
    await write(to);
    const { uid, gid } = await stat(this.#backup);
    await chown(to, uid, gid);
  }

  /**
   * Everything since the backup has not happened. `promoted`: as on a replica that had not got any further when it was
   * promoted, or after a recovery to a point in time.
   */
  async restoreBackup({ promoted = false } = {}): Promise<void> {
    if (promoted) await this.#put('recovery.signal', async (to) => writeFile(to, ''));
    await this.server.stop();
    await rm(join(this.dataDir, 'postgres'), { recursive: true });
    await rename(this.#backup, join(this.dataDir, 'postgres'));
    await this.restart(promoted ? { restore_command: 'false' } : {});
    const isPromoted = async (): Promise<boolean> =>
      this.as('postgres', async (client) => {
        const { rows } = await client.query<{ is: boolean }>('select not pg_is_in_recovery() as is');
        return rows[0]?.is === true;
      });
    if (!(await becomesTrue(isPromoted, CRASH_TIMEOUT_MS))) throw new Error('PostgreSQL only reads');
  }

  get #backup(): string {
    return join(this.dataDir, 'postgres.backup');
  }

  async close(): Promise<void> {
    this.#pid = 0;
    await this.server.stop();
    this.#forgetSignal();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

function options(dataDir: string): { dataDir: string; log: () => void; settings: Record<string, string> } {
  return { dataDir, log: () => undefined, settings: { max_connections: '300' } };
}
