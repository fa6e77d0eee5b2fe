import { Inject, Injectable } from '@nestjs/common';
import { Client } from 'pg';
import type { Logger } from 'pino';
import type { EntityManager } from 'typeorm';
import { describeError, JobRunner } from './job-runner.js';
import { JOBS_CONFIG, JOBS_LOGGER } from './jobs-config.js';
import type { JobsConfig } from './jobs-config.js';

const CHANNEL = 'wellspring_wake';
const CONNECT_TIMEOUT_MS = 10_000;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 30_000;
/** A dropped network leaves a connection that looks alive and hears nothing: ask it now and then. */
const HEARTBEAT_MS = 30_000;

/**
 * Starts jobs the moment their rows are committed. Wake-ups may be lost (no listener, lost connection): a new
 * connection looks at everything once, and each tick finds the same rows.
 */
@Injectable()
export class Wake {
  #client: Client | null = null;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #listening = false;
  /** Then a new connection means that something may have been called out meanwhile. */
  #heardBefore = false;

  constructor(
    @Inject(JOBS_CONFIG) private readonly config: JobsConfig,
    private readonly runner: JobRunner,
    @Inject(JOBS_LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * Wakes `jobName` in every worker process when the transaction of `manager` commits, and not at all when it rolls
   * back. Several calls in one transaction wake once.
   */
  async notify(manager: EntityManager, jobName: string): Promise<void> {
    await manager.query(`SELECT pg_notify('${CHANNEL}', $1)`, [jobName]);
  }

  /**
   * Listens until `close`, in worker processes only. Resolves after the first attempt to connect; one that failed
   * is logged and repeated in the background, because ticks still do the work.
   */
  async listen(): Promise<void> {
    if (this.#listening) return;
    this.#listening = true;
    await this.#connect();
  }

  /** Stops listening. Runs that have begun are not awaited: `Scheduler.drain` does that. */
  async close(): Promise<void> {
    this.#listening = false;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => {});
  }

  async #connect(): Promise<void> {
    // LISTEN belongs to one connection, so no pool can carry it.
    const client = new Client({
      connectionString: this.config.databaseUrl,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'wellspring wake',
    });
    this.#client = client;
    client.on('error', (error) => this.#lost(client, error));
    client.on('end', () => this.#lost(client, new Error('the connection was closed')));
    client.on('notification', ({ payload }) => {
      if (payload) void this.runner.run(payload);
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.#failures = 0;
      if (this.#heardBefore) this.runner.runAll();
      this.#heardBefore = true;
      // `close` may have come in between.
      if (this.#client === client) this.#scheduleHeartbeat(client);
    } catch (error) {
      this.#lost(client, error);
    }
  }

  #scheduleHeartbeat(client: Client): void {
    this.#timer = setTimeout(() => void this.#beat(client), HEARTBEAT_MS);
  }

  async #beat(client: Client): Promise<void> {
    try {
      await client.query('SELECT 1');
      if (this.#client === client) this.#scheduleHeartbeat(client);
    } catch (error) {
      this.#lost(client, error);
    }
  }

  /** Several events tell of one loss; only the first one for the present client counts. */
  #lost(client: Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = null;
    clearTimeout(this.#timer);
    client.end().catch(() => {});
    if (!this.#listening) return;
    const retryMs = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LONGEST_RETRY_MS);
    this.#failures += 1;
    this.logger.warn({ error: describeError(error), retryMs }, 'wake-ups are off, jobs wait for their ticks');
    this.#timer = setTimeout(() => void this.#connect(), retryMs);
  }
}
