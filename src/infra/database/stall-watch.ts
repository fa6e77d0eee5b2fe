import type { Socket } from 'node:net';
import { Client, type ClientBase, type ClientConfig, DatabaseError } from 'pg';
import { markLost } from './lost-connection.js';
import { onConnect } from './pg-pool.js';

export interface StallTimes {
  /** So long without a word from the server, while a statement is under way, makes it suspect. */
  quietMs: number;
  /** So long a new connection, and then a small question on it, may take. */
  answerMs: number;
}

const TIMES: StallTimes = { quietMs: 10_000, answerMs: 10_000 };
const CONNECT_WITHIN_MS = 10_000;
const KEEP_ALIVE_AFTER_MS = 30_000;

/** What the driver has and its types do not name. */
type Watched = ClientBase & { readyForQuery: boolean; processID: number; connection: { stream: Socket } };

/**
 * A connection that is there in bounded time or fails. Given to pools as their class, since their own setting would also
 * bound the wait for a connection that others hold, which under load is no failure. What ends it is known by `isDatabaseAway`.
 */
export class PromptClient extends Client {
  constructor(config: ClientConfig = {}) {
    super({
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      ...config,
      // TypeORM names it and leaves it undefined.
      connectionTimeoutMillis: config.connectionTimeoutMillis ?? CONNECT_WITHIN_MS,
    });
    this.on('error', markLost);
  }

  override connect(): Promise<Client>;
  override connect(callback: (error: Error) => void): void;
  override connect(callback?: (error: Error) => void): Promise<Client> | void {
    if (callback === undefined)
      return super.connect().catch((error: Error) => {
        markLost(error);
        throw error;
      });
    // As its types do not say, null when all is well.
    return super.connect((error: Error) => {
      if (error instanceof Error) markLost(error);
      callback(error);
    });
  }
}

/**
 * Ends connections whose server hangs, so that whoever waits for an answer gets an error in bounded time and the next one
 * a new connection. No time-out of statements: planning, imports and migrations may take minutes, and one that always
 * runs into its time-out is never done. What tells them from a hanging one is that the server, asked on another
 * connection, says that it works on it. A host or a network that is gone leaves TCP waiting for a quarter of an hour.
 *
 * Behind a pooler the server knows the pooler's processes and not ours: then only a server that does not answer at all
 * is found out.
 */
export class StallWatch {
  #asking: Promise<ReadonlySet<number> | null> | null = null;

  constructor(
    private readonly url: string,
    private readonly times: StallTimes = TIMES,
  ) {}

  /** For every pool. */
  readonly onConnect = (client: ClientBase): void => {
    onConnect(client);
    const { stream } = (client as Watched).connection;
    stream.setTimeout(this.times.quietMs);
    stream.on('timeout', () => void this.#look(client as Watched));
  };

  /** Each byte that comes or goes begins the time anew. */
  async #look(client: Watched): Promise<void> {
    if (client.readyForQuery) return;
    const { stream } = client.connection;
    const heard = stream.bytesRead;
    // Twice: it may have been this process that stood still, and the answer lies there unread.
    const done = (await this.#doneWith()) ?? (await this.#doneWith());
    if (client.readyForQuery || stream.bytesRead !== heard || stream.destroyed) return;
    if (done === null) stream.destroy(new Error('PostgreSQL does not answer'));
    else if (done.has(client.processID)) stream.destroy(new Error('an answer of PostgreSQL was lost'));
    else stream.setTimeout(this.times.quietMs);
  }

  /** One question for all who wait at this moment. */
  async #doneWith(): Promise<ReadonlySet<number> | null> {
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  /** Processes of the server that wait for their clients; null when it does not answer. Never rejects. */
  async #ask(): Promise<ReadonlySet<number> | null> {
    const { answerMs } = this.times;
    const client = new PromptClient({
      ...{ connectionString: this.url, connectionTimeoutMillis: answerMs, query_timeout: answerMs },
      application_name: 'wellspring watch',
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      // An answer of this moment may still be on its way.
      const { rows } = await client.query<{ pid: number }>(
        `select pid from pg_stat_activity where state like 'idle%' and state_change < clock_timestamp() - $1 * interval '1 millisecond'`,
        [this.times.quietMs / 2],
      );
      return new Set(rows.map(({ pid }) => pid));
    } catch (error) {
      // It has no place for one more, or begins or ends just now: whatever it says, it answers.
      return error instanceof DatabaseError ? new Set() : null;
    } finally {
      client.connection.stream.destroy();
    }
  }
}
