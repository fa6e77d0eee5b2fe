import { randomBytes } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { MongoMemoryServer } from 'mongodb-memory-server';
import { DryMongoBinary } from 'mongodb-memory-server-core';
import { Pool } from 'pg';
import type { JobsConfig } from '../../src/infra/jobs/jobs-config.js';
import { JOB_TABLE } from '../../src/infra/jobs/job-store.js';
import { createTestDatabase } from './database.js';

/** A stored tick, the same for both stores. */
export interface JobRow {
  name: string;
  lockedAt: Date | null;
  nextRunAt: Date | null;
}

/** A job store that a test file has to itself, seen from below Agenda. */
export interface JobStoreServer {
  name: 'PostgreSQL' | 'MongoDB';
  config: JobsConfig;
  rows(): Promise<JobRow[]>;
  change(name: string, values: Partial<Pick<JobRow, 'lockedAt' | 'nextRunAt'>>): Promise<void>;
  /** Adds rows as other versions and hands have left them: what forbids a second one of a name is got round. */
  insertStray(names: string[], everyMs: number): Promise<void>;
  /** Adds a second row of `name` like the scheduler's own; rejects when the store forbids that. */
  insertSecond(name: string): Promise<void>;
  /** Removes the table or collection; removing what is not there is fine. */
  dropJobs(): Promise<void>;
  close(): Promise<void>;
}

export async function openPostgresJobStore(): Promise<JobStoreServer> {
  const database = await createTestDatabase();
  const pool = new Pool({ connectionString: database.url, max: 2 });
  return {
    name: 'PostgreSQL',
    config: { mongoUri: null, databaseUrl: database.url },
    rows: async () => {
      const { rows } = await pool.query<JobRow>(
        `SELECT name, locked_at AS "lockedAt", next_run_at AS "nextRunAt" FROM ${JOB_TABLE} ORDER BY name`,
      );
      return rows;
    },
    change: async (name, values) => {
      if (values.lockedAt !== undefined) {
        await pool.query(`UPDATE ${JOB_TABLE} SET locked_at = $2 WHERE name = $1`, [name, values.lockedAt]);
      }
      if (values.nextRunAt !== undefined) {
        await pool.query(`UPDATE ${JOB_TABLE} SET next_run_at = $2 WHERE name = $1`, [
          name,
          values.nextRunAt,
        ]);
      }
    },
    insertStray: async (names, everyMs) => {
      await pool.query(
        `INSERT INTO ${JOB_TABLE} (name, next_run_at, repeat_interval, type)
         SELECT stray, now(), $2, CASE WHEN EXISTS (SELECT 1 FROM ${JOB_TABLE} WHERE name = stray) THEN 'normal' ELSE 'single' END
           FROM unnest($1::text[]) AS stray`,
        [names, String(everyMs)],
      );
    },
    insertSecond: async (name) => {
      await pool.query(`INSERT INTO ${JOB_TABLE} (name, type) VALUES ($1, 'single')`, [name]);
    },
    dropJobs: async () => {
      await pool.query(`DROP TABLE IF EXISTS ${JOB_TABLE}`);
    },
    close: async () => {
      await pool.end();
      await database.drop();
    },
  };
}

/**
 * On `MONGODB_URI`, else on a MongoDB that `mongodb-memory-server` has at hand or can download. A string says why
 * there is none; with CI_REQUIRE_MONGODB=1 that is an error.
 */
export async function openMongoJobStore(): Promise<JobStoreServer | string> {
  const given = process.env['MONGODB_URI'];
  const server = given ? { uri: given, stop: async () => {} } : await startMemoryServer();
  if (typeof server !== 'string') return mongoJobStore(server);
  if (process.env['CI_REQUIRE_MONGODB'] === '1') {
    throw new Error(`CI_REQUIRE_MONGODB=1, but there is no MongoDB: ${server}`);
  }
  return server;
}

async function mongoJobStore(server: { uri: string; stop: () => Promise<void> }): Promise<JobStoreServer> {
  const database = `wellspring_test_${randomBytes(6).toString('hex')}`;
  const uri = new URL(server.uri);
  uri.pathname = `/${database}`;
  const client = await new MongoClient(uri.href, { serverSelectionTimeoutMS: 10_000 }).connect();
  const jobs = client.db(database).collection(JOB_TABLE);
  return {
    name: 'MongoDB',
    config: { mongoUri: uri.href, databaseUrl: 'postgresql://127.0.0.1:1/no-postgres-in-this-part' },
    rows: async () => {
      const found = await jobs.find<JobRow>({}).sort({ name: 1 }).toArray();
      return found.map(({ name, lockedAt, nextRunAt }) => ({ name, lockedAt: lockedAt ?? null, nextRunAt }));
    },
    change: async (name, values) => {
      await jobs.updateOne({ name }, { $set: values });
    },
    insertStray: async (names, everyMs) => {
      const indexes = await jobs.indexes();
      if (indexes.some((index) => index.name === 'one_per_name')) await jobs.dropIndex('one_per_name');
      const values = { type: 'single', priority: 0, repeatInterval: everyMs, lockedAt: null };
      await jobs.insertMany(names.map((name) => ({ ...values, name, nextRunAt: new Date() })));
    },
    insertSecond: async (name) => {
      await jobs.insertOne({ name, type: 'single' });
    },
    dropJobs: async () => {
      await jobs.drop();
    },
    close: async () => {
      await client.db(database).dropDatabase();
      await client.close();
      await server.stop();
    },
  };
}

const DOWNLOAD_HOST = 'https://fastdl.mongodb.org/';
const REACHABLE_MS = 4_000;
const DOWNLOAD_MS = 120_000;

/** A closed network must not hold the test run up: nothing is downloaded before its host has answered. */
async function startMemoryServer(): Promise<{ uri: string; stop: () => Promise<void> } | string> {
  try {
    const cached = await DryMongoBinary.locateBinary(await DryMongoBinary.generateOptions());
    if (cached === undefined) {
      await fetch(DOWNLOAD_HOST, { method: 'HEAD', signal: AbortSignal.timeout(REACHABLE_MS) });
    }
    const starting = MongoMemoryServer.create();
    const server = await Promise.race([starting, inTime(DOWNLOAD_MS)]);
    if (server === 'late') {
      starting.then((late) => late.stop()).catch(() => {});
      return `no start within ${DOWNLOAD_MS / 1000} s`;
    }
    return { uri: server.getUri(), stop: async () => void (await server.stop()) };
  } catch (error) {
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return `MONGODB_URI is not set and mongodb-memory-server has none (${String(reason).slice(0, 200)})`;
  }
}

function inTime(ms: number): Promise<'late'> {
  return new Promise((resolve) => {
    setTimeout(() => resolve('late'), ms).unref();
  });
}
