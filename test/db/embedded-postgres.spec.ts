import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, readFile, readdir, readlink, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  findEmbeddedPostgresUrl,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../src/infra/database/embedded-postgres.js';
import { repairLibraryLinks } from '../../src/infra/database/postgres-binaries.js';
import { readPostmaster } from '../../src/infra/database/postmaster.js';
import { createTestDatabase } from '../support/database.js';
import { makeQuickFolder } from '../support/memory-folder.js';

const SETTINGS = { fsync: 'off', shared_buffers: '16MB' };
const APP = fileURLToPath(new URL('../support/embedded-postgres-app.mjs', import.meta.url));

let dataDir: string;
let lines: string[];
let cleanUps: (() => Promise<unknown>)[];

beforeEach(async () => {
  dataDir = await makeQuickFolder('wellspring-embedded-');
  lines = [];
  cleanUps = [];
});

afterEach(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  await rm(dataDir, { recursive: true, force: true });
});

describe('embedded PostgreSQL in daily use', () => {
  it('keeps its data over a restart, behind a password that only the owner may read', async () => {
    const first = await start();
    await query(first.url, "CREATE TABLE kept AS SELECT 'still here' AS word");
    const [row] = await query(
      first.url,
      'SELECT pg_encoding_to_char(encoding) AS encoding FROM pg_database LIMIT 1',
    );
    expect(row).toEqual({ encoding: 'UTF8' });
    await first.stop();
    await expect(query(first.url, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
    expect(await findEmbeddedPostgresUrl(dataDir)).toBeUndefined();

    const second = await start();
    expect(second.adopted).toBe(false);
    expect(await query(second.url, 'SELECT word FROM kept')).toEqual([{ word: 'still here' }]);
    expect((await stat(join(dataDir, 'postgres.secret'))).mode & 0o777).toBe(0o600);
    const secret = (await readFile(join(dataDir, 'postgres.secret'), 'utf8')).trim();
    expect(lines.join('\n')).not.toContain(secret);
    expect(await readFile(join(dataDir, 'postgres.log'), 'utf8')).not.toContain(secret);
    await expect(query(second.url.replace(secret, 'guessed'), 'SELECT 1')).rejects.toThrow(
      'password authentication',
    );
  });

  it('begins afresh when the data folder was removed', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE gone (id int)');
    await first.stop();
    await rm(dataDir, { recursive: true });

    const second = await start();
    expect(await query(second.url, "SELECT to_regclass('gone') AS found")).toEqual([{ found: null }]);
  });

  it('listens on loopback only and keeps commits safe from a power cut', async () => {
    const { url } = await start({});
    const names = [
      'listen_addresses',
      'unix_socket_directories',
      'fsync',
      'synchronous_commit',
      'full_page_writes',
    ];
    const rows = await query(
      url,
      `SELECT setting FROM unnest($1::text[]) AS name, current_setting(name) AS setting`,
      [names],
    );
    expect(rows.map((row) => row['setting'])).toEqual(['127.0.0.1', '', 'on', 'on', 'on']);
  });
});

describe("embedded PostgreSQL's log", () => {
  it('leaves out what a failed statement held, and is put aside at the next start when over 10 MB', async () => {
    await writeFile(join(dataDir, 'postgres.log'), Buffer.alloc(10 * 1024 * 1024 + 1, '.'));
    const { url } = await start();
    expect((await stat(join(dataDir, 'postgres.log.1'))).size).toBe(10 * 1024 * 1024 + 1);
    await expect(query(url, "SELECT 'ada@example.com'::int")).rejects.toThrow('invalid input syntax');
    const log = await readFile(join(dataDir, 'postgres.log'), 'utf8');
    expect(log).toContain('ready to accept connections');
    expect(log).not.toContain('ada@example.com');
  });

  it('ends the message of a start that failed, which leaves nothing half-done', async () => {
    const complaint = expect.stringContaining('invalid value for parameter "shared_buffers": "plenty"');
    const refusal = { code: 'POSTGRES_START_FAILED', message: complaint };
    await expect(start({ shared_buffers: 'plenty' })).rejects.toMatchObject(refusal);
    await (await start()).stop();
    await expect(start({ shared_buffers: 'plenty' })).rejects.toMatchObject({
      ...refusal,
      facts: { logFile: join(dataDir, 'postgres.log') },
    });
  });
});

describe('embedded PostgreSQL after a crash', () => {
  it('takes over the server of an application that was killed', async () => {
    const app = await startApp();
    await query(app.url, "CREATE TABLE kept AS SELECT 'before the kill' AS word");
    app.process.kill('SIGKILL');
    await once(app.process, 'exit');
    expect(await findEmbeddedPostgresUrl(dataDir)).toBe(app.url);

    const server = await start();
    expect(server).toMatchObject({ adopted: true, url: app.url });
    expect(await query(server.url, 'SELECT word FROM kept')).toEqual([{ word: 'before the kill' }]);
    await server.stop();
    await expect(query(server.url, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
  });

  it('replaces a surviving server whose password is lost', async () => {
    const app = await startApp();
    await query(app.url, "CREATE TABLE kept AS SELECT 'without the secret' AS word");
    app.process.kill('SIGKILL');
    await once(app.process, 'exit');
    await unlink(join(dataDir, 'postgres.secret'));

    const server = await start();
    expect(server.adopted).toBe(false);
    expect(await query(server.url, 'SELECT word FROM kept')).toEqual([{ word: 'without the secret' }]);
  });

  it('is not held up by a pid file whose process id belongs to another program now', async () => {
    const first = await start();
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid');
    const text = await readFile(pidFile, 'utf8');
    await first.stop();
    const stranger = await startStranger(join(dataDir, 'postgres'));
    await writeFile(pidFile, text.replace(/^\d+/, String(stranger.pid)));

    const second = await start();
    expect(second.adopted).toBe(false);
    expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  });

  it('recovers what was committed when PostgreSQL itself was killed', async () => {
    const first = await start({});
    await query(first.url, "CREATE TABLE kept AS SELECT 'committed' AS word");
    const postmaster = await readPostmaster(join(dataDir, 'postgres'));
    process.kill(postmaster?.pid ?? Number.NaN, 'SIGKILL');
    await first.stop();

    const second = await start();
    expect(await query(second.url, 'SELECT word FROM kept')).toEqual([{ word: 'committed' }]);
  });
});

describe('two applications on one data folder', () => {
  it('end in a refusal of the second, which leaves the first one working', async () => {
    const first = await startApp();
    await expect(start()).rejects.toMatchObject({
      code: 'DATA_DIR_IN_USE',
      message: `The data folder ${dataDir} is in use by process ${first.process.pid}. Stop it, or set DATA_DIR to another folder.`,
      facts: { pid: first.process.pid },
    });
    expect(await query(first.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('leave exactly one running when they start at the same moment', async () => {
    const starts = await Promise.allSettled([start(), start(), start()]);
    const refusals = starts.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect(refusals).toHaveLength(2);
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'DATA_DIR_IN_USE' });
    expect((await readdir(dataDir)).filter((name) => name.endsWith('.sock'))).toHaveLength(1);
  });

  it('are told apart in a folder whose path is too long for a socket', async () => {
    const outer = dataDir;
    cleanUps.push(() => rm(outer, { recursive: true, force: true }));
    dataDir = join(outer, 'a'.repeat(60), 'b'.repeat(60));
    await start();
    await expect(start()).rejects.toMatchObject({ code: 'DATA_DIR_IN_USE' });
  });
});

describe('library links that npm did not make', () => {
  it('are made beside the libraries', async () => {
    const { root, list } = await copyOfLibraries();
    const missing = list.map((name) => join(root, 'lib', name));
    for (const link of missing) await rm(link, { force: true });
    expect(await repairLibraryLinks(root, join(dataDir, 'links'))).toBeUndefined();
    for (const link of missing) expect(await readlink(link)).toMatch(/^lib[a-z_0-9]+\.(so|[\d.]+dylib)/);
    expect(await repairLibraryLinks(root, join(dataDir, 'links'))).toBeUndefined();
  });

  it.skipIf(process.getuid?.() === 0)(
    'are made in the data folder when the libraries are read-only',
    async () => {
      const { root, list } = await copyOfLibraries();
      for (const name of list) await rm(join(root, 'lib', name), { force: true });
      await chmod(join(root, 'lib'), 0o555);
      cleanUps.push(() => chmod(join(root, 'lib'), 0o755));
      expect(await repairLibraryLinks(root, join(dataDir, 'links'))).toBe(join(dataDir, 'links'));
      for (const name of list) expect((await stat(join(dataDir, 'links', name))).isFile()).toBe(true);
    },
  );
});

describe('a test database', () => {
  it('has the schema, belongs to one file, and reports a session that was left open', async () => {
    const [first, second] = await Promise.all([createTestDatabase(), createTestDatabase()]);
    expect(first.url).not.toBe(second.url);
    expect(await query(first.url, "SELECT to_regclass('schema_migration') IS NOT NULL AS migrated")).toEqual([
      { migrated: true },
    ]);
    await second.drop();
    const forgotten = new Client({ connectionString: first.url, application_name: 'forgotten' });
    // The server ends this session when it drops the database under it.
    forgotten.on('error', () => {});
    await forgotten.connect();
    await expect(first.drop(100)).rejects.toThrow(/^1 database session\(s\) were left open.*\[forgotten\]/);
    await forgotten.end();
  });
});

async function start(settings: Record<string, string> = SETTINGS): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log: (line) => lines.push(line), settings });
  cleanUps.push(() => server.stop());
  return server;
}

async function startApp(): Promise<{ url: string; process: ChildProcess }> {
  const child = spawn(process.execPath, [APP, dataDir, JSON.stringify(SETTINGS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  cleanUps.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.stdin.end();
    await once(child, 'exit');
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const started: unknown = JSON.parse(line);
    if (
      typeof started === 'object' &&
      started !== null &&
      'url' in started &&
      typeof started.url === 'string'
    ) {
      return { url: started.url, process: child };
    }
    throw new Error(`The application did not start: ${line}`);
  }
  throw new Error('The application ended without a word.');
}

/** A program that has nothing to do with PostgreSQL, under the account that owns the cluster. */
async function startStranger(clusterDir: string): Promise<ChildProcess> {
  const { uid, gid } = await stat(clusterDir);
  const asOwner = process.getuid?.() === 0 ? { uid, gid } : {};
  const child = spawn('/bin/sleep', ['60'], { ...asOwner, stdio: 'ignore', cwd: '/' });
  await once(child, 'spawn');
  cleanUps.push(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  return child;
}

async function copyOfLibraries(): Promise<{ root: string; list: string[] }> {
  const library = createRequire(import.meta.url).resolve('embedded-postgres');
  const entry = createRequire(library).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  const native = join(dirname(dirname(entry)), 'native');
  const root = join(dataDir, 'native');
  await cp(join(native, 'pg-symlinks.json'), join(root, 'pg-symlinks.json'));
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(root, 'pg-symlinks.json'), 'utf8'),
  );
  for (const source of new Set(links.map((link) => link.source))) {
    await cp(join(dirname(native), source), join(dataDir, source));
  }
  return { root, list: links.map((link) => link.target.replace(/^native\/lib\//, '')) };
}

async function query(url: string, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(sql, values)).rows;
  } finally {
    await client.end();
  }
}
