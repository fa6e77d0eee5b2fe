import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { pino } from 'pino';
import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { readConfig } from '../../../config/env.js';
import { BroadcastsModule } from '../../../src/broadcasts/broadcasts.module.js';
import { BouncesModule } from '../../../src/bounces/bounces.module.js';
import { DeliveryModule } from '../../../src/delivery/delivery.module.js';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import { DueMessages } from '../../../src/delivery/sending/due-messages.service.js';
import { LedgerQueries } from '../../../src/delivery/ledger/ledger.queries.js';
import { Ledger } from '../../../src/delivery/ledger/ledger.service.js';
import { WorkerPresence } from '../../../src/delivery/ledger/worker-presence.service.js';
import { MailComposer } from '../../../src/delivery/sending/mail-composer.service.js';
import { USUAL_PRIORITY, type PlannedMessage } from '../../../src/delivery/message/message.js';
import { MessagesService } from '../../../src/delivery/planning/messages.service.js';
import { SenderService } from '../../../src/delivery/sending/sender.service.js';
import { SmtpLanes } from '../../../src/delivery/relays/smtp-lanes.service.js';
import { TemplatesService } from '../../../src/delivery/mails/templates.service.js';
import { AlertsModule } from '../../../src/infra/alerts/alerts.module.js';
import { PreflightModule } from '../../../src/delivery/preflight/preflight.module.js';
import type { Config } from '../../../src/infra/config.js';
import type { DnsResolver } from '../../../src/infra/dns.js';
import { DatabaseModule } from '../../../src/infra/database/database.module.js';
import { openDataSource } from '../../../src/infra/database/migrate.js';
import { JobsModule } from '../../../src/infra/jobs/jobs.module.js';
import { SettingsModule } from '../../../src/infra/settings.module.js';
import { SequencesModule } from '../../../src/sequences/sequences.module.js';
import { addressHash } from '../../../src/subscribers/address-hash.js';
import { FixedClock } from '../../support/clock.js';
import { createTestDatabase } from '../../support/database.js';
import { openSmtpSink, type SmtpSink } from '../../support/smtp-sink.js';

export const SECRET = Buffer.alloc(32, 7);
export const BASE_URL = 'https://mail.example.com';
/** A Monday. */
export const OPENED_AT = new Date('2026-03-02T09:00:00Z');
export const SENDER = {
  name: 'Ada Winters',
  email: 'ada@example.com',
  postalAddress: '12 Mill Lane, Springfield',
};

export interface PostOffice {
  app: INestApplicationContext;
  config: Config;
  db: DataSource;
  clock: FixedClock;
  sink: SmtpSink;
  messages: MessagesService;
  ledger: LedgerQueries;
  templates: TemplatesService;
  /** A sender of its own, as a second worker process would have one. */
  newSender(): SenderService;
  /** Sends what is due; the number of accepted mails. */
  sendDue(sender?: SenderService): Promise<number>;
  /** Claims what is due to recipients of no known group, on the pool or on the connection `db`. */
  claim(owner: string, limit: number, db?: PoolClient): ReturnType<LedgerQueries['claim']>;
  subscriber(email: string, fields?: { name?: string; timeZone?: string; status?: string }): Promise<string>;
  /** Plans a marketing mail to a new subscriber, unless `change` says otherwise. */
  plan(email: string, change?: Partial<PlannedMessage>): Promise<string>;
  state(id: string): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

/**
 * The modules from template to relay on a database and an SMTP server of their own. `given`: further settings; `dns`: in place
 * of the machine's; `through`: where the database at an address is reached.
 */
export async function openPostOffice(
  given: Record<string, string> = {},
  dns?: DnsResolver,
  through: (url: string) => Promise<string> = async (url) => url,
): Promise<PostOffice> {
  const [database, sink] = await Promise.all([createTestDatabase(), openSmtpSink()]);
  const databaseUrl = await through(database.url);
  const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-post-office-'));
  const env = readConfig({
    BASE_URL,
    DATA_DIR: dataDir,
    LOG_LEVEL: 'silent',
    API_KEY: 'test-key-of-sixteen-or-more',
    ...given,
  });
  const config = { ...env, databaseUrl, secretKey: SECRET, smtpUrl: sink.url };
  const db = await openDataSource(databaseUrl);
  const clock = new FixedClock(OPENED_AT);

  @Module({
    imports: [
      SettingsModule.forRoot(config, clock, dns),
      DatabaseModule.forRoot(db, databaseUrl),
      JobsModule.forRoot({ mongoUri: null, databaseUrl }, pino({ level: 'silent' })),
      AlertsModule,
      DeliveryModule,
      PreflightModule,
      BouncesModule,
      SequencesModule,
      BroadcastsModule,
    ],
  })
  class PostOfficeModule {}

  const app = await NestFactory.createApplicationContext(PostOfficeModule, { logger: false });
  const get = <T>(type: new (...args: never[]) => T): T => app.get<T>(type, { strict: false });
  const [messages, ledger, templates] = [get(MessagesService), get(LedgerQueries), get(TemplatesService)];
  const newSender = (): SenderService =>
    new SenderService(
      get(DueMessages),
      get(Ledger),
      get(MailComposer),
      get(SmtpLanes),
      get(WorkerPresence),
      clock,
    );
  const welcome = await templates.publish(db.manager, 'emails/welcome');
  const subscriber: PostOffice['subscriber'] = async (email, { name, timeZone, status = 'active' } = {}) => {
    const rows: { id: string }[] = await db.query(
      `insert into subscriber (email, email_key, name, time_zone, status, created_at, updated_at)
       values ($1, $1, $2, $3, $4, $5, $5) returning id`,
      [email, name ?? null, timeZone ?? null, status, clock.now()],
    );
    return rows[0]?.id ?? '';
  };
  return {
    app,
    config,
    db,
    clock,
    sink,
    messages,
    ledger,
    templates,
    newSender,
    claim: async (owner, limit, client) => {
      const fence = await get(GenerationGuard).fence(null);
      if (fence === null) throw new Error('nothing may be sent');
      const places = [0, USUAL_PRIORITY].map((priority) => ({
        ...{ queueKey: 'example.com|other', priority, limit },
      }));
      const overdue = { restored: null, late: null, unsigned: null };
      return ledger.claim(owner, { places, limit, now: clock.now(), overdue, fence }, client);
    },
    subscriber,
    sendDue: async (sender = newSender()) =>
      sender.sendDue({ deadline: clock.now().getTime() + 60_000, signal: new AbortController().signal }),
    plan: async (email, change = {}) => {
      const subscriberId = change.subscriberId ?? (await subscriber(email));
      const [planned] = await db.transaction(async (manager) =>
        messages.plan(manager, [
          {
            dedupeKey: `test:${email}`,
            class: 'marketing',
            kind: 'sequence',
            funnelKey: 'niche-ebook',
            stepKey: 'welcome',
            templateId: welcome,
            data: { download: { url: 'https://files.example.com/guide.pdf' } },
            sender: SENDER,
            address: email,
            addressHash: addressHash(SECRET, email),
            dueAt: clock.now(),
            ...change,
            subscriberId,
          },
        ]),
      );
      return planned?.id ?? '';
    },
    state: async (id) => {
      const rows: Record<string, unknown>[] = await db.query(
        `select state, state_reason as reason, attempt, reply_code as code, due_at as "dueAt", accepted_at as "acceptedAt",
           lease_until as "leaseUntil" from message where id = $1`,
        [id],
      );
      return rows[0] ?? {};
    },
    close: async () => {
      await app.close();
      if (db.isInitialized) await db.destroy();
      await sink.close();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A funnel with a sequence of one version, in which nobody is yet. */
export async function insertFunnel(db: Pick<DataSource, 'query'>, key: string): Promise<void> {
  await db.query(
    `insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
     values ($1, 'Guide', '{}', '', 1, now(), now())`,
    [key],
  );
  await db.query(
    `with q as (insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
       values ($1, $1, 'Guide', '{}', now(), now()) returning id)
     insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
     select id, 1, '{}', '', now() from q`,
    [key],
  );
}

/** Somebody who is in that sequence, the only one unless it is named. Returns the id of the enrollment. */
export async function enroll(
  db: Pick<DataSource, 'query'>,
  subscriberId: string,
  key: string | null = null,
): Promise<string> {
  const rows: { id: string }[] = await db.query(
    `insert into enrollment (sequence_id, version_id, subscriber_id, status, started_at)
     select v.sequence_id, v.id, $1, 'active', now() from sequence_version v join sequence q on q.id = v.sequence_id
     where $2::text is null or q.key = $2 returning id`,
    [subscriberId, key],
  );
  return rows[0]?.id ?? '';
}
