import { spawn, spawnSync, type ChildProcess, type SpawnSyncReturns } from 'node:child_process';
import { chown, lchown, mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '../../values/domain-error.js';
import { freePort } from '../free-port.js';
import type { PostgresBinaries } from './postgres-binaries.js';
import { accountMay, type PostgresAccount } from './postgres-user.js';
import { becomesTrue, readPostmaster, stopPostmaster, type Postmaster } from './postmaster.js';

/** Everything it takes to run PostgreSQL on one data folder. */
export interface ClusterHost {
  dataDir: string;
  /** The cluster's own folder, absolute and free of symbolic links. */
  clusterDir: string;
  binaries: PostgresBinaries;
  /** Undefined: the account of this process. */
  account: PostgresAccount | undefined;
  settings: Readonly<Record<string, string>>;
}

export const SUPERUSER = 'wellspring';

/** A path that leads every process to its own working folder, through no other folder (Linux). */
const OWN_WORKING_FOLDER = '/proc/self/cwd';
const START_TIMEOUT_MS = 30_000;
/** After a power cut PostgreSQL replays its log first. Giving up would only make it begin again. */
const RECOVERY_TIMEOUT_MS = 600_000;
const START_ATTEMPTS = 3;
const MAX_LOG_BYTES = 10 * 1024 * 1024;
const LOG_LINES_SHOWN = 15;

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // An acknowledged commit survives a power cut. These are PostgreSQL's defaults; nothing here may weaken them.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // What an import writes between two commits; with the default of a few, each process that filled them wrote them out.
  wal_buffers: '16MB',
  // What is read is nearly always in the system's memory; handing such reads to other processes took a quarter more.
  io_method: 'sync',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // Failed statements carry subscribers' addresses. The application gets them as errors; they stay out of the log.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_checkpoints: 'off',
};

/** Makes a new cluster. It appears in its place only when complete, so a start that is cut short leaves nothing half-done. */
export async function createCluster(host: ClusterHost, password: string): Promise<void> {
  const unfinished: ClusterHost = { ...host, clusterDir: `${host.clusterDir}.new` };
  await rm(unfinished.clusterDir, { recursive: true, force: true });
  await mkdir(unfinished.clusterDir, { mode: 0o700 });
  if (host.account !== undefined) await chown(unfinished.clusterDir, host.account.uid, host.account.gid);
  const args = [
    `--username=${SUPERUSER}`,
    '--encoding=UTF8',
    // PostgreSQL's own collation: an update of the system's libraries cannot reorder text and break the indexes.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--auth=reject',
    '--no-instructions',
    ...(host.settings['fsync'] === 'off' ? ['--no-sync'] : []),
  ];
  const result = runOnCluster(unfinished, host.binaries.initdb, { args });
  if (result.status !== 0) throw startError('PostgreSQL could not make its data folder', result);
  const accessRules = join(unfinished.clusterDir, 'pg_hba.conf');
  await writeFile(accessRules, `host all ${SUPERUSER} 127.0.0.1/32 scram-sha-256\n`);
  setPassword(unfinished, password);
  await rename(unfinished.clusterDir, host.clusterDir).catch((cause: unknown) => {
    throw new DomainError(
      'DATA_DIR_UNUSABLE',
      `${host.clusterDir} exists but holds no complete PostgreSQL. Remove it, or set DATA_DIR to another folder.`,
      { dataDir: host.dataDir },
      { cause },
    );
  });
}

/** Sets the superuser's password on a cluster no server works on; nobody has to be let in without one for this. */
export function setPassword(host: ClusterHost, password: string): void {
  const result = runOnCluster(host, host.binaries.postgres, {
    mode: ['--single'],
    args: [...settingArguments(host.settings), 'postgres'],
    // One line is one statement here. The password is ours and has no quotes in it.
    input: `ALTER ROLE ${SUPERUSER} PASSWORD '${password}'\n`,
  });
  const output = `${result.stdout}${result.stderr}`;
  if (result.status !== 0 || /ERROR:|FATAL:/.test(output)) {
    throw startError('PostgreSQL did not take its password', result);
  }
}

/** Who owns the cluster; undefined when there is no complete one. */
export async function findClusterOwner(clusterDir: string): Promise<PostgresAccount | undefined> {
  try {
    const { uid, gid } = await stat(clusterDir);
    // Another account's cluster hides what is in it; that it is complete is the better guess.
    await stat(join(clusterDir, 'PG_VERSION')).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EACCES') throw error;
    });
    return { uid, gid };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Gives the cluster, everything in it included, to the account; for a cluster that root copied or restored. */
export async function giveClusterTo(account: PostgresAccount, path: string): Promise<void> {
  await lchown(path, account.uid, account.gid);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) await giveClusterTo(account, child);
    else await lchown(child, account.uid, account.gid);
  }
}

/** A server that takes connections, and how to know that it still lives. */
export interface RunningServer {
  pid: number;
  port: number;
  isRunning: () => Promise<boolean>;
}

/** Starts a server on a free port and waits until it takes connections. The error holds the end of its log. */
export async function launchServer(host: ClusterHost, log: (line: string) => void): Promise<RunningServer> {
  const logFile = join(host.dataDir, 'postgres.log');
  await rotateLog(logFile);
  for (let attempt = 1; ; attempt++) {
    const sizeBefore = await stat(logFile).then(
      ({ size }) => size,
      () => 0,
    );
    const child = await spawnServer(host, logFile, await freePort());
    const outcome = await waitUntilReady(child, host, log);
    if (outcome.kind === 'ready') return { ...outcome.postmaster, isRunning: async () => !hasEnded(child) };
    const output = (await readFile(logFile)).subarray(sizeBefore).toString();
    // The port was taken in between, or the last of a killed server's children is just leaving.
    const passes = /could not bind|pre-existing shared memory block/.test(output);
    if (!passes || attempt === START_ATTEMPTS) throw startFailure(outcome.reason, output, logFile);
    await sleep(500);
  }
}

async function spawnServer(host: ClusterHost, logFile: string, port: number): Promise<ChildProcess> {
  const logHandle = await open(logFile, 'a', 0o600);
  try {
    const settings = settingArguments({ ...host.settings, port: String(port) });
    const child = spawn(host.binaries.postgres, ['-D', clusterArgument(host), ...settings], {
      ...host.account,
      cwd: host.clusterDir,
      env: environment(host),
      stdio: ['ignore', logHandle.fd, logHandle.fd],
      // A process group of its own: Ctrl-C in the terminal reaches the application only, which drains and then stops it.
      detached: true,
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(unrunnable(host, cause)));
    });
    child.unref();
    return child;
  } finally {
    await logHandle.close();
  }
}

type StartOutcome = { kind: 'ready'; postmaster: Postmaster } | { kind: 'failed'; reason: string };

async function waitUntilReady(
  child: ChildProcess,
  host: ClusterHost,
  log: (line: string) => void,
): Promise<StartOutcome> {
  let postmaster: Postmaster | undefined;
  const hasSettled = async (): Promise<boolean> => {
    postmaster = await readPostmaster(host.clusterDir);
    if (postmaster?.pid !== child.pid) postmaster = undefined;
    return postmaster?.ready === true || hasEnded(child);
  };
  let settled = await becomesTrue(hasSettled, START_TIMEOUT_MS);
  if (!settled && postmaster !== undefined) {
    log('PostgreSQL is recovering from an unclean end; this can take minutes');
    settled = await becomesTrue(hasSettled, RECOVERY_TIMEOUT_MS);
  }
  if (hasEnded(child))
    return { kind: 'failed', reason: `it ended with ${child.signalCode ?? `code ${child.exitCode}`}` };
  if (settled && postmaster !== undefined) return { kind: 'ready', postmaster };
  if (child.pid !== undefined) await stopPostmaster(child.pid, async () => !hasEnded(child));
  return { kind: 'failed', reason: 'it was not ready in time' };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/**
 * The `-D` argument. The database account often cannot walk to the cluster, because a folder above belongs to root
 * alone (a checkout in root's home). The process is then started inside the cluster's folder, by root, before it
 * becomes the other account, and names the folder through its working directory: the data stays in the user's
 * folder, and no folder has to be opened to others.
 */
function clusterArgument(host: ClusterHost): string {
  if (host.account === undefined || accountMay(host.account, 'rwx', host.clusterDir)) return host.clusterDir;
  if (process.platform === 'linux') return OWN_WORKING_FOLDER;
  throw new DomainError(
    'DATA_DIR_UNREACHABLE',
    `PostgreSQL does not run as root, and its account (uid ${host.account.uid}) cannot enter ${host.clusterDir}. Start Wellspring as an ordinary user, or set DATA_DIR to a folder that others may enter.`,
    { dataDir: host.dataDir },
  );
}

/** Runs `initdb` or a single-user `postgres` to its end, as the database account, in the cluster's folder. */
function runOnCluster(
  host: ClusterHost,
  program: string,
  { args, mode = [], input = '' }: { args: string[]; mode?: string[]; input?: string },
): SpawnSyncReturns<string> {
  const result = spawnSync(program, [...mode, '-D', clusterArgument(host), ...args], {
    ...host.account,
    cwd: host.clusterDir,
    env: environment(host),
    encoding: 'utf8',
    input,
    timeout: START_TIMEOUT_MS,
  });
  if (result.error !== undefined) throw unrunnable(host, result.error);
  return result;
}

/** Not the application's own environment: a stray PGOPTIONS or locale of the user's must not reach the server. */
function environment(host: ClusterHost): NodeJS.ProcessEnv {
  const loaderPath = process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH';
  const { libraryPath, root } = host.binaries;
  return {
    PATH: '/usr/bin:/bin',
    LC_ALL: 'C',
    TZ: 'UTC',
    // The libraries themselves too: one that was reached through a link looks for the next beside the link.
    ...(libraryPath === undefined ? {} : { [loaderPath]: `${libraryPath}:${join(root, 'lib')}` }),
  };
}

function settingArguments(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries({ ...SETTINGS, ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function rotateLog(logFile: string): Promise<void> {
  const size = await stat(logFile).then(
    (found) => found.size,
    () => 0,
  );
  if (size > MAX_LOG_BYTES) await rename(logFile, `${logFile}.1`);
}

function startFailure(reason: string, output: string, logFile: string): DomainError {
  const lastLines = output.trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
  return new DomainError(
    'POSTGRES_START_FAILED',
    `PostgreSQL did not start: ${reason}. The end of ${logFile}:\n${lastLines}`,
    { logFile },
  );
}

function startError(what: string, result: SpawnSyncReturns<string>): DomainError {
  const output = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
  return new DomainError('POSTGRES_START_FAILED', `${what} (code ${result.status}):\n${output}`);
}

function unrunnable(host: ClusterHost, cause: Error): DomainError {
  const as = host.account === undefined ? '' : ` under uid ${host.account.uid}`;
  return new DomainError(
    'POSTGRES_START_FAILED',
    `The PostgreSQL in ${host.binaries.root} cannot be run${as} (${cause.message}). It needs a system with glibc, or macOS; elsewhere set DATABASE_URL to a PostgreSQL of your own.`,
    {},
    { cause },
  );
}
