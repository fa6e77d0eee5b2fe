import { mkdtemp, rm } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryResultRow } from 'pg';
import { readConfig } from '../../config/env.js';
import { openCommandContext, type CommandContext } from '../../src/application.js';
import { MOST_PARKED } from '../../src/delivery/relays/smtp-lanes.service.js';
import { randomFrom, type CountingSink } from '../support/counting-sink.js';
import type { DurablePostgres } from '../support/durable-postgres.js';
import { SECRET_KEY, WorkerProcess, workersReady } from '../support/worker-process.js';
import { DatabaseProxy } from './database-proxy.js';
import { judge, type LedgerRow, type Verdict } from './oracle.js';
import { Sinks, type RelayOptions } from './sinks.js';

export interface WorldOptions {
  seed: number;
  /** Planned mails; every tenth is transactional. */
  mails: number;
  relays?: readonly RelayOptions[];
}

export interface StartOptions {
  preload?: readonly string[];
  env?: Readonly<Record<string, string>>;
}

export interface WorldVerdict extends Verdict {
  unknownBound: number;
  kills: number;
}

const runFile = promisify(execFile);
/** So long without any change while nothing is ready: what is left belongs to a worker that is gone. */
const QUIET_MS = 3_000;
const POLL_MS = 100;
/** Closer, as what follows is to hit the workers in the middle of their work. */
const TAKEN_POLL_MS = 20;
/** So many looks without one mail more, or nearer to its end. Not by the clock: while a machine is frozen, nobody looks. */
const TAKEN_STANDSTILL_LOOKS = 6_000;
const STANDSTILL_LOOKS = 900;

/** What one scenario has to itself: a database behind a proxy, a relay that counts, and workers that may be killed. */
export class World {
  /** The first of its relays, and mostly the only one. */
  readonly sink: CountingSink;
  readonly sinks: Sinks;
  readonly proxy: DatabaseProxy;
  readonly random: () => number;
  readonly workers: WorkerProcess[] = [];
  /** Workers that stood still beyond their lease: what they had under way may be unknown as well. */
  paused = 0;
  /** Set by scenarios whose relay answers so late that lanes wait for that beside those at work. */
  parks = false;
  /** Set by the scenario that restores a backup. */
  setBack = false;
  /** Leases in the ledger as the backup has it, which are unknown by the owner's word. */
  leasedInBackup = 0;
  readonly #afterClose: (() => Promise<void>)[] = [];
  #dataDirs = 0;
  #trusted = false;

  private constructor(
    readonly cluster: DurablePostgres,
    readonly database: string,
    /** Planned mails; a scenario that plans more says so here. */
    public mails: number,
    private readonly dataDir: string,
    { seed, relays = [{}] }: WorldOptions,
  ) {
    this.random = randomFrom(seed);
    this.sinks = new Sinks(relays, seed);
    const [first] = this.sinks.all;
    if (first === undefined) throw new Error('a scenario has one relay at least');
    this.sink = first;
    this.proxy = new DatabaseProxy(() => cluster.address, randomFrom(seed + 1));
  }

  /** `template` is a database with mails planned for a far day, of which the first `mails` are kept. */
  static async open(cluster: DurablePostgres, template: string, options: WorldOptions): Promise<World> {
    const database = await cluster.createDatabase(template);
    const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-fault-'));
    const world = new World(cluster, database, options.mails, dataDir, options);
    await Promise.all([world.sinks.listen(), world.proxy.listen()]);
    await world.sql('delete from message where id > (select id from message order by id offset $1 limit 1)', [
      options.mails - 1,
    ]);
    return world;
  }

  /** On a connection of its own past the proxy, again and again until the server answers. */
  async sql<T extends QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.cluster.as(
          this.database,
          async (client) => (await client.query<T>(text, values)).rows,
        );
      } catch (error) {
        const answered = error instanceof Error && 'severity' in error && error.severity === 'ERROR';
        if (answered || attempt === 100) throw error;
        await sleep(100);
      }
    }
  }

  /** Starts workers and waits until each listens. A worker's data folder goes to the next one that is started alone. */
  async start(count = 1, { preload = [], env = {} }: StartOptions = {}): Promise<WorkerProcess[]> {
    const free = this.live.length === 0 ? 0 : this.#dataDirs;
    const started = Array.from({ length: count }, (_, i) =>
      WorkerProcess.start({
        databaseUrl: this.cluster.url(this.database, this.proxy.address),
        smtpUrl: this.#smtpUrl(),
        dataDir: join(this.dataDir, `worker-${free + i}`),
        preload: preload.map((name) => join(import.meta.dirname, `${name}.js`)),
        env: { LOG_LEVEL: 'warn', ...env },
      }),
    );
    this.#dataDirs = Math.max(this.#dataDirs, free + count);
    this.workers.push(...started);
    await this.cluster.as(this.database, async (client) => workersReady(client, this.live));
    return started;
  }

  /** As when containers without a volume are replaced. Only while no worker runs. */
  async loseDataFolders(): Promise<void> {
    await Promise.all(
      Array.from({ length: this.#dataDirs }, async (_, i) =>
        rm(join(this.dataDir, `worker-${i}`), { recursive: true, force: true }),
      ),
    );
  }

  /** Of the first worker. */
  get dataFolder(): string {
    return join(this.dataDir, 'worker-0');
  }

  get live(): WorkerProcess[] {
    return this.workers.filter(({ running }) => running);
  }

  /** Makes everything due and wakes the workers. */
  async release(): Promise<void> {
    await this.sql(`update message set due_at = clock_timestamp() where state = 'ready'`);
    await this.wake();
  }

  async wake(...jobs: string[]): Promise<void> {
    const names = jobs.length > 0 ? jobs : ['delivery.send-due', 'delivery.reap'];
    await this.sql(`select pg_notify('wellspring_wake', name) from unnest($1::text[]) name`, [names]);
  }

  /** Work by the product's own services on this database, beside the workers. */
  async inProduct<T>(
    work: (context: CommandContext) => Promise<T>,
    env: Record<string, string> = {},
  ): Promise<T> {
    const context = await openCommandContext(readConfig({ ...this.#env(), ...env }), () => undefined);
    try {
      return await work(context);
    } finally {
      await context.close();
    }
  }

  /** Waits for as long as mails are taken, however slowly. */
  async takenReaches(count: number): Promise<void> {
    let [before, looks] = [-1, 0];
    for (let taken = this.sinks.takenTotal; taken < count; taken = this.sinks.takenTotal) {
      if (taken !== before) [before, looks] = [taken, 0];
      else if (++looks > TAKEN_STANDSTILL_LOOKS)
        throw new Error(
          `only ${taken} mails were taken, ${count} were waited for: ${await this.#whatIsOpen()}`,
        );
      await sleep(TAKEN_POLL_MS);
    }
  }

  /**
   * As `takenReaches`, where workers were killed beside others that live: when nothing but leases of the dead is left,
   * all begin anew, as they would when those leases have run out. Ends as well when no mail is left to wait for.
   */
  async takenReachesAfterKills(count: number): Promise<void> {
    let [before, changedMs, looks] = ['', Date.now(), 0];
    while (this.sinks.takenTotal < count) {
      const open = await this.openRows();
      if (open.ready + open.held + open.leased === 0) return;
      const now = `${JSON.stringify(open)} ${this.sinks.takenTotal}`;
      if (now !== before) [before, changedMs, looks] = [now, Date.now(), 0];
      else if (open.ready === 0 && open.leased > 0 && Date.now() - changedMs > QUIET_MS) {
        const workers = this.live.length;
        await this.stopAll();
        await this.ageLeases();
        await this.start(workers);
        await this.hurry();
        changedMs = Date.now();
      } else if (++looks > STANDSTILL_LOOKS)
        throw new Error(`${count} mails were waited for: ${await this.#whatIsOpen()}`);
      await sleep(POLL_MS);
    }
  }

  /** One of the owner's commands, beside the workers; returns what it printed. */
  async command(...args: string[]): Promise<string> {
    const { stdout } = await runFile(
      process.execPath,
      [join(import.meta.dirname, '../../src/cli.js'), ...args],
      { env: { PATH: process.env['PATH'], ...this.#env() } },
    );
    return stdout;
  }

  #env(): Record<string, string> {
    return {
      DATABASE_URL: this.cluster.url(this.database),
      DATA_DIR: this.dataFolder,
      SMTP_URL: this.#smtpUrl(),
      SECRET_KEY,
      DEMO: 'false',
    };
  }

  /** Only when every worker that holds one is gone or stands still: this is what waiting for minutes would do. */
  async ageLeases(): Promise<void> {
    await this.sql(
      `update message set lease_until = lease_until - interval '1 hour', data_at = data_at - interval '1 hour'
       where state = 'leased'`,
    );
  }

  async killAll(): Promise<void> {
    await Promise.all(this.live.map(async (worker) => worker.kill()));
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.live.map(async (worker) => worker.stop()));
  }

  /**
   * Drives the ledger to its end with an unharmed worker: retries come at once instead of in minutes, and leases of the
   * dead run out. Returns when no row is open.
   */
  async finish(): Promise<void> {
    let [before, changedMs, looks] = ['', Date.now(), 0];
    let stopped = false;
    for (;;) {
      if (this.live.length === 0) {
        await this.ageLeases();
        await this.start();
        changedMs = Date.now();
      }
      await this.hurry();
      const open = await this.openRows();
      if (open.ready + open.held + open.leased === 0) return;
      const now = `${JSON.stringify(open)} ${this.sinks.begun}`;
      if (now !== before) [before, changedMs, looks, stopped] = [now, Date.now(), 0, false];
      else if (!stopped && open.leased > 0 && open.ready === 0 && Date.now() - changedMs > QUIET_MS) {
        await this.stopAll();
        stopped = true;
      }
      if (++looks > STANDSTILL_LOOKS) throw new Error(`not finished: ${await this.#whatIsOpen()}`);
      await sleep(POLL_MS);
    }
  }

  /** Nobody waits for minutes here: what was put off is due again, and relays that were given up are tried again. */
  async hurry(): Promise<void> {
    await this.sql(
      `update message set due_at = clock_timestamp() where state = 'ready' and due_at > clock_timestamp() + interval '2 seconds'`,
    );
    await this.sql(
      `update relay_state set opened_until = clock_timestamp() where opened_until > clock_timestamp()`,
    );
    await this.wake();
  }

  async openRows(): Promise<{ ready: number; held: number; leased: number }> {
    const [row] = await this.sql<{ ready: number; held: number; leased: number }>(
      `select count(*) filter (where state = 'ready')::int as ready, count(*) filter (where state = 'held')::int as held,
         count(*) filter (where state = 'leased')::int as leased from message`,
    );
    return row ?? { ready: 0, held: 0, leased: 0 };
  }

  /** Mails whose body is under way, or was when their worker ended. */
  async inBodies(): Promise<number> {
    return (await this.sql(`select 1 from message where state = 'leased' and data_at is not null`)).length;
  }

  /** For the reader of a failure. */
  async #whatIsOpen(): Promise<string> {
    const outputs = this.workers.map(
      ({ output, running }) => `${running ? 'runs' : 'ended'}\n${output.slice(-2_000)}`,
    );
    return [JSON.stringify(await this.openRows()), ...outputs].join('\n');
  }

  /** From the next start on the relay is reached at an address that may do without TLS. */
  trustRelay(): void {
    this.#trusted = true;
  }

  #smtpUrl(): string {
    return this.#trusted ? `smtp://127.0.0.1:${this.sink.port}` : this.sinks.url;
  }

  /**
   * The lanes of one worker at most, parked ones among them: those seen at the relay, which may all be of the one that
   * happened to send while another had nothing to do.
   */
  get lanes(): number {
    return this.sinks.lanes(this.parks ? MOST_PARKED : 0);
  }

  async kills(): Promise<number> {
    const gone = this.workers.filter(({ running }) => !running);
    const exits = await Promise.all(gone.map(async ({ exited }) => exited));
    return exits.filter(({ signal }) => signal === 'SIGKILL').length;
  }

  async verdict(): Promise<WorldVerdict> {
    const rows = await this.sql<LedgerRow & Record<string, unknown>>(
      `select message_id_header as "messageId", address, class, state, unknown_count as "unknownCount" from message`,
    );
    const kills = await this.kills();
    const unknownBound = (kills + this.paused) * this.lanes + this.sinks.unclear + this.leasedInBackup;
    const { taken, recipients } = this.sinks;
    const { mails: planned, setBack } = this;
    return { ...judge({ rows, taken, recipients, unknownBound, planned, setBack }), unknownBound, kills };
  }

  async close(): Promise<void> {
    // A process that stands still cannot end in order.
    await this.killAll();
    await Promise.all([this.sinks.close(), this.proxy.close()]);
    await this.cluster.dropDatabase(this.database);
    await rm(this.dataDir, { recursive: true, force: true });
    for (const work of this.#afterClose) await work();
  }

  /** For what must outlive the database. */
  afterClose(work: () => Promise<void>): void {
    this.#afterClose.push(work);
  }
}
