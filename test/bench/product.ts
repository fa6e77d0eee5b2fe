import { generateKeyPairSync, randomInt } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../config/env.js';
import { openCommandContext, type CommandContext } from '../../src/application.js';
import { broadcastMailKey, topicOf } from '../../src/broadcasts/broadcast.js';
import { addMail, emptyBatch } from '../../src/delivery/message/mail-batch.js';
import { MessagesService } from '../../src/delivery/planning/messages.service.js';
import { compileMail } from '../../src/delivery/mails/mjml.templates.js';
import { TEMPLATES_DIR } from '../../src/infra/http/templates-dir.js';
import { DurablePostgres } from '../support/durable-postgres.js';
import { seedReaders, seedTemplate, SENDER, type Reader } from '../support/mail-seed.js';
import { SECRET_KEY, WorkerProcess, workersReady } from '../support/worker-process.js';
import { cpuSeconds } from './process-usage.js';
import type { Relay } from './relay.js';

export interface SendRun {
  workers: number;
  mails: number;
  /** Mails each worker sends before the measured ones; 1000 when not given. */
  warmUp?: number;
  nodeOptions?: readonly string[];
  env?: Readonly<Record<string, string>>;
}

export interface SendResult {
  perSecond: number;
  seconds: number;
  /** Seconds of processor time while the mails went out. */
  cpu: { workers: number; postgres: number; relay: number };
}

const MAILS = join(TEMPLATES_DIR, '../test/bench/mails');
/** Mails each worker sends before the measured ones, when nothing else is said. */
export const WARM_UP = 1_000;
const MAILS_A_BATCH = 1_000;
const LONGEST_RUN_MS = 300_000;
/** Looking costs PostgreSQL as much as a dozen mails; when the last was settled is read from its row. */
const LOOK_EVERY_MS = 500;
const CITIES = ['Springfield', 'Riverside', 'Fairview', 'Oak Hill', 'Großweiler'];

/** The product on its own durable PostgreSQL with a list of readers: a broadcast is planned, and the clock runs until the last mail is settled. */
export class Product {
  /** The one that was planned last. */
  #broadcastId = '';

  private constructor(
    private readonly cluster: DurablePostgres,
    private readonly database: string,
    private readonly context: CommandContext,
    private readonly dataDir: string,
    private readonly readers: Reader[],
    private readonly templateId: string,
  ) {}

  static async open(readerCount: number): Promise<Product> {
    const cluster = await DurablePostgres.start();
    const database = await cluster.createDatabase();
    const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-bench-'));
    const env = readConfig({
      DATABASE_URL: cluster.url(database),
      DATA_DIR: dataDir,
      SMTP_URL: 'smtp://127.0.0.1:9',
      SECRET_KEY,
      DEMO: 'false',
    });
    const context = await openCommandContext(env, () => undefined);
    const readers = await seedReaders(context.dataSource.manager, readerCount);
    const mail = await compileMail(MAILS, 'letter');
    const templateId = await seedTemplate(context.dataSource.manager, mail);
    return new Product(cluster, database, context, dataDir, readers, templateId);
  }

  async send(
    relay: Relay,
    { workers: count, mails, warmUp = WARM_UP, nodeOptions = [], env = {} }: SendRun,
  ): Promise<SendResult> {
    await this.context.dataSource.query('truncate message, message_attempt cascade');
    const databaseUrl = this.cluster.url(this.database);
    const options = { databaseUrl, smtpUrl: relay.url, dataDir: this.dataDir, nodeOptions, env };
    const workers = Array.from({ length: count }, () => WorkerProcess.start(options));
    try {
      await this.cluster.as(this.database, async (client) => workersReady(client, workers));
      await this.plan(Math.min(warmUp * count, this.readers.length));
      await this.finished(workers);
      const usage = async (): Promise<number[]> =>
        Promise.all(
          [workers.map(({ pid }) => pid), [await this.cluster.pid()], [relay.pid]].map(async (pids) =>
            cpuSeconds(pids),
          ),
        );
      let before: number[] = [];
      const startedAt = await this.plan(mails, async () => {
        before = await usage();
      });
      await this.finished(workers);
      const after = await usage();
      const [ofWorkers = 0, postgres = 0, ofRelay = 0] = after.map(
        (seconds, i) => seconds - (before[i] ?? 0),
      );
      const seconds = await this.secondsUntilSettled(startedAt, mails);
      return { perSecond: mails / seconds, seconds, cpu: { workers: ofWorkers, postgres, relay: ofRelay } };
    } finally {
      await Promise.all(workers.map(async (worker) => worker.stop()));
    }
  }

  /** From the next workers on every mail is signed, or none is. */
  async signing(on: boolean): Promise<void> {
    const folder = join(this.dataDir, 'dkim');
    await rm(folder, { recursive: true, force: true });
    // A worker without the key would hold the mail of a domain that has once been signed.
    await this.context.dataSource.query('delete from signed_domain');
    if (!on) return;
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const ofDomain = join(folder, SENDER.email.slice(SENDER.email.indexOf('@') + 1));
    await mkdir(ofDomain, { recursive: true });
    await writeFile(join(ofDomain, 'bench.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    });
  }

  /** Plans in one transaction, so that all mails are due at the moment of the commit; answers with that moment. */
  private async plan(
    mails: number,
    beforeCommit: () => Promise<void> = async () => undefined,
  ): Promise<Date> {
    return this.context.dataSource.transaction(async (manager) => {
      const messages = this.context.app.get(MessagesService);
      const dueAt = new Date();
      const broadcast: { id: string }[] = await manager.query(
        `insert into broadcast (title, email_template_id, sender, state, created_at, started_at)
         values ('Letter', $1, $2, 'running', $3, $3) returning id`,
        [this.templateId, JSON.stringify(SENDER), dueAt],
      );
      const broadcastId = (this.#broadcastId = broadcast[0]?.id ?? '');
      let planned = 0;
      for (let from = 0; from < mails; from += MAILS_A_BATCH) {
        const batch = emptyBatch();
        for (const [nth, { id, email }] of this.readers
          .slice(from, Math.min(from + MAILS_A_BATCH, mails))
          .entries()) {
          batch.shared.push({
            ...{
              class: 'marketing',
              kind: 'broadcast',
              broadcastId,
              funnelKey: topicOf({ topic: null, audience: {} }),
              dueAt,
            },
            ...{ templateId: this.templateId, sender: SENDER, data: personalFields(from + nth) },
            dedupeKey: broadcastMailKey(broadcastId),
          });
          addMail(batch, {
            shared: nth,
            subscriberId: id,
            enrollmentId: null,
            address: email,
            emailKey: email,
          });
        }
        planned += await messages.planBatch(manager, messages.prepareBatch(batch));
      }
      if (planned !== mails) throw new Error(`${planned} of ${mails} mails were planned: too few readers`);
      await manager.query('analyze message');
      await beforeCommit();
      const rows: { at: Date }[] = await manager.query('select clock_timestamp() as at');
      return rows[0]?.at ?? new Date();
    });
  }

  private async finished(workers: readonly WorkerProcess[]): Promise<void> {
    const deadline = Date.now() + LONGEST_RUN_MS;
    for (;;) {
      // The newest, by primary key, tells that it is not yet time for the look that walks past all that has been sent.
      const rows: { open: boolean }[] = await this.context.dataSource.query(
        `select case when (select state from message order by id desc limit 1) in ('ready', 'leased') then true
           else exists (select 1 from message where state = 'ready') or exists (select 1 from message where state = 'leased') end as open`,
      );
      if (rows[0]?.open === false) return;
      const dead = workers.find(({ running }) => !running);
      if (dead || Date.now() > deadline)
        throw new Error(`the mails did not go out:\n${dead?.output ?? 'time is up'}`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  private async secondsUntilSettled(startedAt: Date, mails: number): Promise<number> {
    const rows: { seconds: number; accepted: number }[] = await this.context.dataSource.query(
      `select extract(epoch from max(settled_at) - $2)::float8 as seconds, count(*) filter (where state = 'accepted')::int as accepted
       from message where broadcast_id = $1`,
      [this.#broadcastId, startedAt],
    );
    const { seconds = 0, accepted = 0 } = rows[0] ?? {};
    if (accepted !== mails) throw new Error(`only ${accepted} of ${mails} mails were accepted`);
    return seconds;
  }

  async close(): Promise<void> {
    await this.context.close();
    await this.cluster.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

function personalFields(index: number): Record<string, unknown> {
  return {
    city: CITIES[index % CITIES.length],
    points: randomInt(10_000),
    weeks: 1 + (index % 90),
    coupon: `W-${(index * 7919).toString(36).toUpperCase()}`,
    opened: index % 12,
    favourite: 'The stone that was in the way',
    numbers: [
      { value: 62, name: 'sheets filled in' },
      { value: 31, name: 'years of diary' },
      { value: 11, name: 'minutes of crossing' },
    ],
  };
}
