import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { pino } from 'pino';
import type { DataSource } from 'typeorm';
import { readConfig } from '../../../../config/env.js';
import { PacingModule } from '../../../../src/delivery/pacing/pacing.module.js';
import { AlertsModule } from '../../../../src/infra/alerts/alerts.module.js';
import { DatabaseModule } from '../../../../src/infra/database/database.module.js';
import { openDataSource } from '../../../../src/infra/database/migrate.js';
import { JobsModule } from '../../../../src/infra/jobs/jobs.module.js';
import { SettingsModule } from '../../../../src/infra/settings.module.js';
import { FixedClock } from '../../../support/clock.js';
import { createTestDatabase } from '../../../support/database.js';

/** A Monday. */
export const OPENED_AT = new Date('2026-03-02T09:00:00Z');

export interface PacingApp {
  app: INestApplicationContext;
  db: DataSource;
  clock: FixedClock;
  dataDir: string;
  url: string;
  close(): Promise<void>;
}

/** One worker's pacing on the database at `url`, with a data folder of its own unless one is given. */
export async function openWorker(
  url: string,
  {
    clock = new FixedClock(OPENED_AT),
    dataDir,
    env = {},
  }: {
    clock?: FixedClock;
    dataDir?: string;
    env?: Record<string, string>;
  } = {},
): Promise<PacingApp> {
  const folder = dataDir ?? (await mkdtemp(join(tmpdir(), 'wellspring-pacing-')));
  const settings = readConfig({ LOG_LEVEL: 'silent', DATA_DIR: folder, DATABASE_URL: url, ...env });
  const config = {
    ...settings,
    databaseUrl: url,
    secretKey: Buffer.alloc(32, 7),
    smtpUrl: settings.relays[0]?.url ?? 'smtp://127.0.0.1:1',
    demo: false,
  };
  const db = await openDataSource(url);

  @Module({
    imports: [
      SettingsModule.forRoot(config, clock),
      DatabaseModule.forRoot(db, url),
      JobsModule.forRoot({ mongoUri: null, databaseUrl: url }, pino({ level: 'silent' })),
      AlertsModule,
      PacingModule,
    ],
  })
  class TestModule {}

  const app = await NestFactory.createApplicationContext(TestModule, { logger: false, abortOnError: false });
  return {
    app,
    db,
    clock,
    dataDir: folder,
    url,
    close: async () => {
      await app.close();
      if (db.isInitialized) await db.destroy();
      if (dataDir === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A worker on a fresh database. */
export async function openPacing(options: Parameters<typeof openWorker>[1] = {}): Promise<PacingApp> {
  const database = await createTestDatabase();
  const worker = await openWorker(database.url, options);
  return {
    ...worker,
    close: async () => {
      await worker.close();
      await database.drop();
    },
  };
}

/**
 * Lets time pass for the buckets, which run on the database's clock. Below 0: takes back time that a test itself has spent,
 * but nothing may come to lie ahead of that clock.
 */
export async function passSeconds(db: DataSource, seconds: number): Promise<void> {
  const moved = (column: string): string =>
    `${column} = least(${column} - $1 * interval '1 second', clock_timestamp())`;
  await db.query(
    `update send_bucket set ${['refilled_at', 'slowed_at', 'updated_at'].map(moved).join(', ')}`,
    [seconds],
  );
}

let made = 0;

/** A row of the ledger as planning leaves it, due at `OPENED_AT` unless `change` says otherwise. */
export async function insertMessage(db: DataSource, change: Record<string, unknown> = {}): Promise<string> {
  made++;
  const template: { id: string }[] = await db.query(
    `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
     values ('t', '', '', '', '', '', now()) on conflict (key, content_hash) do update set key = 't' returning id`,
  );
  const row = {
    dedupe_key: `test:${made}`,
    class: 'marketing',
    kind: 'broadcast',
    email_template_id: template[0]?.id,
    sender: JSON.stringify({ name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' }),
    address: `reader${made}@example.net`,
    address_hash: Buffer.from(String(made)),
    message_id_header: `<${made}@example.com>`,
    due_at: OPENED_AT,
    created_at: OPENED_AT,
    lane_key: 'example.com|other',
    ...change,
  };
  const names = Object.keys(row);
  const rows: { id: string }[] = await db.query(
    `insert into message (${names.join(', ')}) values (${names.map((_, index) => `$${index + 1}`).join(', ')}) returning id`,
    Object.values(row),
  );
  return rows[0]?.id ?? '';
}
