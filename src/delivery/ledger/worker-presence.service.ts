import { randomUUID } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Client } from 'pg';
import { CONFIG, type Config } from '../../infra/config.js';

/** What the names of workers begin with who are known to be gone once nobody holds the lock of their name. */
export const PRESENT = 'present-';

const CONNECT_TIMEOUT_MS = 10_000;
const TRY_AGAIN_MS = 30_000;

/**
 * The name under which this process claims mails. While it lives it holds an advisory lock of that name on a connection of its
 * own, so that what it leaves behind when it dies is given back at the next look of any worker, and not after the five minutes
 * of its leases. A connection that is lost while the process lives costs those mails a second claim and no more: the first
 * is fenced off by its epoch.
 */
@Injectable()
export class WorkerPresence implements OnApplicationShutdown {
  /** Without a lock nobody is taken for dead. */
  readonly #unknown = randomUUID();
  #held: { name: string; client: Client } | null = null;
  #connecting: Promise<void> | null = null;
  #failedAtMs: number | null = null;
  #ended = false;

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /** Asked before each claim; waits for the database at the first alone. */
  async name(): Promise<string> {
    const rests = this.#failedAtMs !== null && performance.now() - this.#failedAtMs < TRY_AGAIN_MS;
    if (this.#held === null && !rests && !this.#ended) await (this.#connecting ??= this.#connect());
    return this.#held?.name ?? this.#unknown;
  }

  async onApplicationShutdown(): Promise<void> {
    this.#ended = true;
    await this.#connecting;
    const held = this.#held;
    this.#held = null;
    await held?.client.end().catch(() => undefined);
  }

  async #connect(): Promise<void> {
    const client = new Client({
      connectionString: this.config.databaseUrl,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'wellspring presence',
    });
    const lost = (): void => {
      if (this.#held?.client === client) this.#held = null;
    };
    client.on('error', lost);
    client.on('end', lost);
    // A new one each time: the server may take the connection before for alive still.
    const name = PRESENT + randomUUID();
    try {
      await client.connect();
      await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [name]);
      [this.#held, this.#failedAtMs] = [{ name, client }, null];
    } catch {
      this.#failedAtMs = performance.now();
      await client.end().catch(() => undefined);
    } finally {
      this.#connecting = null;
    }
  }
}
