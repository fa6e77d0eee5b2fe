import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, symlink, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '../../values/domain-error.js';

/**
 * Keeps two applications from working in one data folder.
 *
 * Each application listens on a Unix socket of its own in the folder, and owns the folder when no other socket there
 * answers. The kernel stops answering the moment a process is gone, however it went, and knows nothing of process ids,
 * so neither a crash nor a reused id can mislead the next start. Announcing first and looking second is what makes it
 * safe: of two starters, the one that listens later is bound to see the other.
 */
interface DataDirLock {
  release(): Promise<void>;
}

const ATTEMPTS = 10;
const SOCKET_NAME = /^app-(\d+)-[0-9a-f]{8}\.sock$/;
/** macOS has room for 103 bytes in a socket's address, Linux for 107; the file's own name takes up to 26. */
const LONGEST_FOLDER_BYTES = 76;

/** @throws DomainError `DATA_DIR_IN_USE` with `facts.pid` when another application works in the folder. */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  const shortened = await shortenedPath(dataDir);
  try {
    let lastSeen: string | undefined;
    for (let attempt = 1; ; attempt++) {
      const outcome = await tryToLock(dataDir, shortened.path);
      if (outcome.kind === 'locked') return outcome.lock;
      // A starter that steps back takes a new socket for its next attempt: whoever shows the same one twice stays.
      if (outcome.socket === lastSeen || attempt === ATTEMPTS) throw inUse(dataDir, pidIn(outcome.socket));
      lastSeen = outcome.socket;
      // Two starters that saw each other have both stepped back; an unequal pause lets one of them through.
      await sleep(20 + (randomBytes(1)[0] ?? 0));
    }
  } finally {
    await shortened.remove();
  }
}

type LockOutcome = { kind: 'locked'; lock: DataDirLock } | { kind: 'taken'; socket: string };

async function tryToLock(dataDir: string, shortPath: string): Promise<LockOutcome> {
  const name = `app-${process.pid}-${randomBytes(4).toString('hex')}.sock`;
  const server = await listenOn(join(shortPath, name), dataDir);
  if (server === undefined) return { kind: 'taken', socket: name };
  const release = async (): Promise<void> => {
    // libuv would remove the file under the shortened path, which is gone by now.
    await unlink(join(dataDir, name)).catch(ignoreMissing);
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  try {
    const names = (await readdir(dataDir)).filter((entry) => SOCKET_NAME.test(entry));
    for (const other of names) {
      if (other === name) continue;
      if (await answers(join(shortPath, other))) {
        await release();
        return { kind: 'taken', socket: other };
      }
      await unlink(join(dataDir, other)).catch(ignoreMissing);
    }
    if (names.includes(name)) return { kind: 'locked', lock: { release } };
    // Another starter met this socket between its creation and its first answer, and cleared it away as dead.
    await release();
    return { kind: 'taken', socket: name };
  } catch (error) {
    await release();
    throw error;
  }
}

/** @returns undefined when another starter took the new socket for a dead one and removed it. */
function listenOn(path: string, dataDir: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    const fail = (cause: unknown): void => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      reject(
        new DomainError(
          'DATA_DIR_UNUSABLE',
          `The data folder ${dataDir} cannot be used (${reason}). Set DATA_DIR to a folder on a local disk that this user may write to.`,
          { dataDir },
          { cause },
        ),
      );
    };
    server.once('error', fail);
    try {
      // Writable by all, so that an application of another user can tell a living owner from a dead one.
      server.listen({ path, writableAll: true }, () => {
        server.unref();
        resolve(server);
      });
    } catch (error) {
      // Node changes the mode after it has bound the socket, and throws from here when the file is gone by then.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') resolve(undefined);
      else fail(error);
    }
  });
}

/** False only when nothing listens any more; an owner too busy to answer counts as one that lives. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

/** A path that stays within the length of a socket's address, through a short-lived symbolic link if it must. */
async function shortenedPath(dataDir: string): Promise<{ path: string; remove(): Promise<void> }> {
  if (Buffer.byteLength(dataDir) <= LONGEST_FOLDER_BYTES) return { path: dataDir, remove: async () => {} };
  const folder = await mkdtemp(join(tmpdir(), 'ws-'));
  const path = join(folder, 'd');
  await symlink(dataDir, path);
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

function inUse(dataDir: string, pid: number): DomainError {
  return new DomainError(
    'DATA_DIR_IN_USE',
    `The data folder ${dataDir} is in use by process ${pid}. Stop it, or set DATA_DIR to another folder.`,
    { dataDir, pid },
  );
}

function pidIn(socketName: string): number {
  return Number(SOCKET_NAME.exec(socketName)?.[1]);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
