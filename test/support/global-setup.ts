import { randomBytes } from 'node:crypto';
import { readdir, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import type { TestProject } from 'vitest/node';
import { dataSourceOptions } from '../../config/data-source.js';
import { lockDataDir } from '../../src/infra/database/data-dir-lock.js';
import { startEmbeddedPostgres } from '../../src/infra/database/embedded-postgres.js';
import { findPostmaster, servesCluster, stopPostmaster } from '../../src/infra/database/postmaster.js';
import { FOLDER_IN_MEMORY, makeQuickFolder } from './memory-folder.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Connects with the right to make databases. */
    adminDatabaseUrl: string;
    /** Has every migration and no rows; `createTestDatabase` clones it. */
    templateDatabase: string;
  }
}

/** Of no other folders of tests: one run must not clear away what another works in. */
const FOLDER_PREFIX = 'wellspring-tests-postgres-';
const ABANDONED_AFTER_MS = 60_000;

/** Speed over durability: this data is thrown away at the end of the run. */
const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  shared_buffers: '64MB',
  // The log may be in memory.
  max_wal_size: '256MB',
  max_connections: '300',
  // Rows keep the order in which they were written, whenever a test runs: the room of those before is not given out again.
  autovacuum: 'off',
};

let cleanUp: (() => Promise<void>) | undefined;

/**
 * One PostgreSQL server for the whole run, with one migrated template database on it. `TEST_DATABASE_URL` names a
 * server to use instead, with the right to make databases; `WELLSPRING_TEST_NO_DB=1` leaves it out for unit tests.
 */
export async function setup(project: TestProject): Promise<void> {
  if (process.env['WELLSPRING_TEST_NO_DB'] === '1') return;
  const server = await openServer(process.env['TEST_DATABASE_URL']);
  const template = `wellspring_test_${randomBytes(4).toString('hex')}`;
  cleanUp = async () => {
    try {
      await dropDatabasesOf(template, server.url);
    } finally {
      await server.close();
    }
  };
  await makeTemplate(template, server.url);
  project.provide('adminDatabaseUrl', server.url);
  project.provide('templateDatabase', template);
}

export async function teardown(): Promise<void> {
  await cleanUp?.();
}

interface TestServer {
  url: string;
  close(): Promise<void>;
}

async function openServer(given: string | undefined): Promise<TestServer> {
  if (given !== undefined && given !== '') return { url: given, close: async () => {} };
  await removeAbandonedServers();
  const dataDir = await makeQuickFolder(FOLDER_PREFIX);
  const remove = (): Promise<void> => rm(dataDir, { recursive: true, force: true });
  try {
    const server = await startEmbeddedPostgres({ dataDir, log: () => {}, settings: SETTINGS });
    const close = async (): Promise<void> => {
      await server.stop();
      await remove();
    };
    return { url: server.url, close };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function makeTemplate(template: string, adminUrl: string): Promise<void> {
  await asAdmin(adminUrl, (client) => client.query(`CREATE DATABASE ${template}`));
  const url = new URL(adminUrl);
  url.pathname = `/${template}`;
  const dataSource = new DataSource(dataSourceOptions(url.href, 1));
  await dataSource.initialize();
  try {
    await dataSource.runMigrations();
  } finally {
    await dataSource.destroy();
  }
  // A database with a session on it cannot be cloned; so nobody may open one.
  await asAdmin(adminUrl, (client) =>
    client.query(`ALTER DATABASE ${template} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true`),
  );
}

async function dropDatabasesOf(template: string, adminUrl: string): Promise<void> {
  await asAdmin(adminUrl, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
      [template],
    );
    for (const { datname } of rows) {
      if (datname === template) await client.query(`ALTER DATABASE ${datname} WITH IS_TEMPLATE false`);
      await client.query(`DROP DATABASE ${datname} WITH (FORCE)`);
    }
  });
}

async function asAdmin(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** A run that was killed leaves its server and folder behind; the next run clears them away. */
async function removeAbandonedServers(): Promise<void> {
  const inMemory = await namesIn(FOLDER_IN_MEMORY);
  for (const dataDir of [...(await namesIn(await realpath(tmpdir()))), ...inMemory]) {
    if (!basename(dataDir).startsWith(FOLDER_PREFIX)) continue;
    try {
      // A young one may belong to a run that is just starting.
      if (Date.now() - (await stat(dataDir)).mtimeMs < ABANDONED_AFTER_MS) continue;
      const lock = await lockDataDir(dataDir);
      const clusterDir = join(dataDir, 'postgres');
      const survivor = await findPostmaster(clusterDir);
      if (survivor !== undefined)
        await stopPostmaster(survivor.pid, () => servesCluster(survivor.pid, clusterDir));
      await lock.release();
      await rm(dataDir, { recursive: true, force: true });
    } catch {
      // In use by another run, or another user's: not ours to clear.
    }
  }
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.map((name) => join(folder, name));
}
