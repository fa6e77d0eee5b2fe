import { spawnSync } from 'node:child_process';
import { readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a server says of itself in `postmaster.pid`. */
export interface Postmaster {
  pid: number;
  port: number;
  ready: boolean;
}

const STOP_TIMEOUT_MS = 30_000;
const IMMEDIATE_STOP_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** Reads `postmaster.pid`; undefined when there is none, or when it is not written out yet. */
export async function readPostmaster(clusterDir: string): Promise<Postmaster | undefined> {
  const text = await readFile(join(clusterDir, 'postmaster.pid'), 'utf8').catch(() => '');
  // Lines 1, 4 and 8 of the file: process id, port, status (PostgreSQL's src/include/utils/pidfile.h).
  const lines = text.split('\n');
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  if (!Number.isInteger(pid) || pid <= 1 || !Number.isInteger(port) || port <= 0) return undefined;
  return { pid, port, ready: lines[7]?.trim() === 'ready' };
}

/** Finds the server that works on this cluster, whoever started it. Changes nothing. */
export async function findPostmaster(clusterDir: string): Promise<Postmaster | undefined> {
  const postmaster = await readPostmaster(clusterDir);
  return postmaster !== undefined && (await servesCluster(postmaster.pid, clusterDir))
    ? postmaster
    : undefined;
}

/**
 * Removes a `postmaster.pid` whose process id has since gone to some other program: PostgreSQL would take that program
 * for its server and refuse to start. The id of a process that is gone stays for PostgreSQL, which then looks for
 * children that outlived it. Only for the holder of the data folder's lock: a server without the file stops itself.
 */
export async function removeStalePidFile(clusterDir: string): Promise<void> {
  const postmaster = await readPostmaster(clusterDir);
  if (
    postmaster === undefined ||
    !isAlive(postmaster.pid) ||
    (await servesCluster(postmaster.pid, clusterDir))
  )
    return;
  await rm(join(clusterDir, 'postmaster.pid'), { force: true });
}

/**
 * Stops a server in order and waits for its end: first `SIGINT`, the fast shutdown, which ends open sessions and
 * writes everything out; if that takes over 30 s, `SIGQUIT`, after which the next start replays the log. Never
 * `SIGKILL`, which would leave its children working on the files.
 */
export async function stopPostmaster(pid: number, isRunning: () => Promise<boolean>): Promise<void> {
  const stages: [signal: NodeJS.Signals, timeoutMs: number][] = [
    ['SIGINT', STOP_TIMEOUT_MS],
    ['SIGQUIT', IMMEDIATE_STOP_TIMEOUT_MS],
  ];
  for (const [signal, timeoutMs] of stages) {
    if (!(await isRunning())) return;
    sendSignal(pid, signal);
    if (await becomesTrue(async () => !(await isRunning()), timeoutMs)) return;
  }
  throw new Error(`PostgreSQL (process ${pid}) did not stop.`);
}

/** Asks every 20 ms until the condition holds; false when it still does not after `timeoutMs`. */
export async function becomesTrue(condition: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() >= deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Whether that process is a PostgreSQL on this very cluster: an id alone may belong to anybody by now. */
export async function servesCluster(pid: number, clusterDir: string): Promise<boolean> {
  if (process.platform === 'linux') {
    // A server works in its cluster's folder. A zombie, which still takes signals, has no folder any more.
    const [cwd, name] = await Promise.all([
      readlink(`/proc/${pid}/cwd`).catch(() => undefined),
      readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''),
    ]);
    return cwd === clusterDir && name.trim() === 'postgres';
  }
  const { stdout } = spawnSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.includes(`-D ${clusterDir} `) && !stdout.includes('<defunct>');
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const endedMeanwhile = error instanceof Error && 'code' in error && error.code === 'ESRCH';
    if (!endedMeanwhile) throw error;
  }
}
