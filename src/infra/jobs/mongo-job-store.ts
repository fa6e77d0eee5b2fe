import { MongoBackend } from '@agendajs/mongo-backend';
import type { JobRepository } from 'agenda';
import { MongoClient, MongoServerError } from 'mongodb';
import type { Collection, ObjectId } from 'mongodb';
import { CallsUnderWay } from './calls-under-way.js';
import { CLOCK_TOLERANCE_MS, JOB_TABLE } from './job-store.js';
import type { JobStore } from './job-store.js';

const CONNECT_TIMEOUT_MS = 10_000;
const POOL_SIZE = 5;
/** For an address that names no database; the driver would use `test`. */
const DEFAULT_DATABASE = 'wellspring';
const DUPLICATE_KEY = 11_000;
const UNIQUE_INDEX_ATTEMPTS = 5;
/** Longer than a lock takes to be written by a store that is there at all. */
const CALLS_END_MS = 2_000;

interface JobDocument {
  _id: ObjectId;
  name: string;
  type: 'single';
  priority: number;
  nextRunAt: Date | null;
  repeatInterval: number;
  disabled?: boolean | null;
  lockedAt?: Date | null;
  lastRunAt?: Date | null;
  lastFinishedAt?: Date | null;
  lastModifiedBy?: string | null;
}

/**
 * One document per name: the back end has no unique index, so concurrent upserts would insert one document each.
 * The unique index added here covers exactly the fields of the upsert below.
 *
 * Exclusive ticks rest on an atomic `findAndModify`. MongoDB has it; a compatible server must have it, too.
 *
 * The repository is used without its back end's `connect`, which would also create a collection for job logs.
 */
export class MongoJobStore implements JobStore {
  readonly name = 'MongoDB';
  readonly #client: MongoClient;
  readonly #calls = new CallsUnderWay();
  #repository: JobRepository | null = null;

  constructor(private readonly uri: string) {
    this.#client = this.#newClient();
  }

  get repository(): JobRepository {
    if (!this.#repository) throw new Error('the job store is not open');
    return this.#repository;
  }

  async open(): Promise<void> {
    await this.#client.connect();
    const { repository } = new MongoBackend({ mongo: this.#database(this.#client), collection: JOB_TABLE });
    await repository.connect();
    await this.#keepOnePerName(this.#jobs(this.#client));
    this.#repository = this.#calls.counted<JobRepository>(repository);
  }

  async putRow(name: string, everyMs: number): Promise<void> {
    const jobs = this.#jobs(this.#client);
    await jobs.deleteMany({
      name,
      $or: [{ repeatInterval: { $ne: everyMs } }, { nextRunAt: null }, { disabled: true }],
    });
    try {
      await jobs.updateOne(
        { name, type: 'single' },
        { $setOnInsert: { priority: 0, nextRunAt: new Date(), repeatInterval: everyMs, lockedAt: null } },
        { upsert: true },
      );
    } catch (error) {
      // Another process has inserted it first; then it is there, which is all that was wanted.
      if (!isDuplicateKey(error)) throw error;
    }
  }

  async forgetFuture(now: Date): Promise<number> {
    const jobs = this.#jobs(this.#client);
    const latestMs = now.getTime() + CLOCK_TOLERANCE_MS;
    let count = 0;
    // One comparison per row, made here: not every compatible server knows `$expr`.
    for (const { _id, nextRunAt, lockedAt, repeatInterval } of await jobs.find().toArray()) {
      const [runsMs, lockedMs] = [nextRunAt?.getTime() ?? 0, lockedAt?.getTime() ?? 0];
      if (lockedMs <= latestMs && runsMs <= latestMs + repeatInterval) continue;
      const { modifiedCount } = await jobs.updateOne(
        { _id, nextRunAt },
        { $set: { nextRunAt: now, lockedAt: null } },
      );
      count += modifiedCount;
    }
    return count;
  }

  async close(owner: string): Promise<void> {
    // Closing waits for nothing: a process that is stopped while it looks for its first job would find no lock to give back
    // yet, and leave one behind for half a minute.
    await this.#calls.ended(CALLS_END_MS);
    await this.#client.close();
    const client = this.#newClient();
    try {
      const jobs = this.#jobs(client);
      // The comparison of two fields is made here: not every compatible server knows `$expr`.
      const locked = await jobs.find({ lastModifiedBy: owner, lockedAt: { $ne: null } }).toArray();
      for (const { _id, lockedAt, lastRunAt, lastFinishedAt } of locked) {
        if (!lockedAt || (lastRunAt && !(lastFinishedAt && lastRunAt <= lastFinishedAt))) continue;
        await jobs.updateOne({ _id, lockedAt, lastModifiedBy: owner }, { $set: { lockedAt: null } });
      }
    } finally {
      await client.close();
    }
  }

  /** Deletes all but the oldest document of each name, then forbids a second one. */
  async #keepOnePerName(jobs: Collection<JobDocument>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const seen = new Set<string>();
      const extra: ObjectId[] = [];
      for (const { _id, name } of await jobs.find().sort({ _id: 1 }).toArray()) {
        if (seen.has(name)) extra.push(_id);
        seen.add(name);
      }
      if (extra.length > 0) await jobs.deleteMany({ _id: { $in: extra } });
      try {
        await jobs.createIndex({ name: 1, type: 1 }, { unique: true, name: 'one_per_name' });
        return;
      } catch (error) {
        // Another process, still without the index, has inserted in between.
        if (!isDuplicateKey(error) || attempt === UNIQUE_INDEX_ATTEMPTS) throw error;
      }
    }
  }

  #newClient(): MongoClient {
    return new MongoClient(this.uri, {
      appName: 'wellspring jobs',
      maxPoolSize: POOL_SIZE,
      serverSelectionTimeoutMS: CONNECT_TIMEOUT_MS,
    });
  }

  #database(client: MongoClient) {
    const namesDatabase = /^mongodb(?:\+srv)?:\/\/[^/?]+\/[^?]/.test(this.uri);
    return client.db(namesDatabase ? undefined : DEFAULT_DATABASE);
  }

  #jobs(client: MongoClient): Collection<JobDocument> {
    return this.#database(client).collection<JobDocument>(JOB_TABLE);
  }
}

function isDuplicateKey(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === DUPLICATE_KEY;
}
