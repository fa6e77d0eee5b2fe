import { randomUUID } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { CONFIG, type Config } from '../../infra/config.js';
import { PromptClient } from '../../infra/database/stall-watch.js';

/** What the names of workers begin with who are known to be gone once nobody holds the lock of their name. */
export const PRESENT = 'present-';

const ANSWER_WITHIN_MS = 10_000;
const TRY_AGAIN_MS = 30_000;
/** What is claimed counts as left behind by the dead until the lock is held again: a look of a reaper may come at any moment. */
const LOST_TRY_AGAIN_MS = 1_000;
const ASK_EVERY_MS = 10_000;

/**
 * The name under which this process claims mails. While it lives it holds an advisory lock of that name on a connection of its
 * own, so that what it leaves behind when it dies is given back at the next look of any worker, and not after the five minutes
 * of its leases. A connection that is lost while the process lives is opened again at once, under the same name: the lock is a
 * shared one, as the server may take the connection before for alive still. A look in between costs those mails a second
 * claim, which counts as a death of their worker; the first is fenced off by its epoch.
 */
@Injectable()
export class WorkerPresence implements OnApplicationShutdown {
  readonly #name = PRESENT + randomUUID();
  /** Without a lock nobody is taken for dead. */
  readonly #unknown = randomUUID();
  #held: PromptClient | null = null;
  #wasHeld = false;
  #connecting: Promise<void> | null = null;
  #failedAtMs: number | null = null;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /** Asked before each claim; waits for the database at the first alone. */
  async name(): Promise<string> {
    const rests = this.#failedAtMs !== null && performance.now() - this.#failedAtMs < TRY_AGAIN_MS;
    if (this.#held === null && !rests) await this.#connect();
    return this.#held === null ? this.#unknown : this.#name;
  }

  /**
   * Asks whether the connection still lives, by itself every ten seconds: what is between may have dropped it without a word.
   * One that does not is replaced.
   */
  async ask(): Promise<void> {
    const client = this.#held;
    try {
      await client?.query('select 1');
    } catch {
      if (client !== null) this.#lost(client);
      await this.#connect();
    }
    if (client !== null && this.#held === client) this.#soon(ASK_EVERY_MS, async () => this.ask());
  }

  async onApplicationShutdown(): Promise<void> {
    this.#ended = true;
    await this.#connecting;
    clearTimeout(this.#timer);
    const held = this.#held;
    this.#held = null;
    await held?.end().catch(() => undefined);
  }

  /** In place of what was to be done before. */
  #soon(milliseconds: number, what: () => Promise<void>): void {
    clearTimeout(this.#timer);
    if (!this.#ended) this.#timer = setTimeout(() => void what(), milliseconds).unref();
  }

  #lost(client: PromptClient): void {
    if (this.#held !== client) return;
    this.#held = null;
    client.connection.stream.destroy();
    this.#soon(0, async () => this.#connect());
  }

  async #connect(): Promise<void> {
    if (this.#held !== null || this.#ended) return;
    this.#connecting ??= this.#open().finally(() => (this.#connecting = null));
    await this.#connecting;
  }

  /** Never rejects. */
  async #open(): Promise<void> {
    const client = new PromptClient({
      connectionString: this.config.databaseUrl,
      query_timeout: ANSWER_WITHIN_MS,
      application_name: 'wellspring presence',
    });
    client.on('error', () => this.#lost(client));
    client.on('end', () => this.#lost(client));
    try {
      await client.connect();
      await client.query('select pg_advisory_lock_shared(hashtextextended($1, 0))', [this.#name]);
      [this.#held, this.#wasHeld, this.#failedAtMs] = [client, true, null];
      this.#soon(ASK_EVERY_MS, async () => this.ask());
    } catch {
      this.#failedAtMs = performance.now();
      client.connection.stream.destroy();
      if (this.#wasHeld) this.#soon(LOST_TRY_AGAIN_MS, async () => this.#connect());
    }
  }
}
