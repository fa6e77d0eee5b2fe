import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { pino } from 'pino';
import request from 'supertest';
import type { DataSource } from 'typeorm';
import { readConfig } from '../../../config/env.js';
import { MessagesService } from '../../../src/delivery/planning/messages.service.js';
import { AlertsModule } from '../../../src/infra/alerts/alerts.module.js';
import { AccessModule } from '../../../src/infra/access/access.module.js';
import type { Clock } from '../../../src/infra/clock.js';
import { DatabaseModule } from '../../../src/infra/database/database.module.js';
import { openDataSource } from '../../../src/infra/database/migrate.js';
import { FilesModule } from '../../../src/infra/files/files.module.js';
import { FilesService } from '../../../src/infra/files/files.service.js';
import { HttpModule } from '../../../src/infra/http/http.module.js';
import { configureWebServer, createWebAdapter } from '../../../src/infra/http/web-server.js';
import { JobsModule } from '../../../src/infra/jobs/jobs.module.js';
import { RateLimitsModule } from '../../../src/infra/rate-limits/rate-limits.module.js';
import { SettingsModule } from '../../../src/infra/settings.module.js';
import { OffersModule } from '../../../src/offers/offers.module.js';
import { OffersService, type OfferDefinition } from '../../../src/offers/offers.service.js';
import { ProductsService } from '../../../src/offers/products.service.js';
import { OrdersModule } from '../../../src/orders/orders.module.js';
import { OrdersService } from '../../../src/orders/orders.service.js';
import { FixedClock } from '../../support/clock.js';
import { createTestDatabase } from '../../support/database.js';

export const API_KEY = 'test-key-of-sixteen-or-more';
export const OPENED_AT = new Date('2026-03-02T09:00:00Z');
export const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

export interface Shop {
  app: NestFastifyApplication;
  http: ReturnType<typeof request>;
  clock: FixedClock;
  db: DataSource;
  orders: OrdersService;
  offers: OffersService;
  products: ProductsService;
  publishOffer(changes?: Partial<OfferDefinition>): Promise<string>;
  /** A subscriber who was mailed the offer; `expiresAt` is the end of the price that was promised, if one was. */
  mailTo(
    email: string,
    grant: { expiresAt: Date | null } | null,
  ): Promise<{ subscriberId: string; token: string; messageId: string; enrollmentId: string }>;
  close(): Promise<void>;
}

export interface ShopOptions {
  /** Beside those that sell. */
  modules?: Type[];
  env?: Record<string, string>;
  smtpPort?: number;
  /** Instead of the fixed one, which `Shop.clock` stays. */
  appClock?: Clock;
}

/** The real modules from subscriber to order on a database of their own; one shop with two products. */
export async function openShop(options: ShopOptions = {}): Promise<Shop> {
  const { modules = [], env: variables = {}, smtpPort = 1 } = options;
  const database = await createTestDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-test-shop-'));
  const env = readConfig({
    DATA_DIR: dataDir,
    API_KEY,
    BASE_URL: 'http://shop.example.com',
    LOG_LEVEL: 'silent',
    ...variables,
  });
  const config = {
    ...env,
    databaseUrl: database.url,
    secretKey: Buffer.alloc(32, 3),
    smtpUrl: `smtp://127.0.0.1:${smtpPort}`,
  };
  const db = await openDataSource(database.url);
  const clock = new FixedClock(OPENED_AT);

  @Module({
    imports: [
      SettingsModule.forRoot(config, options.appClock ?? clock),
      DatabaseModule.forRoot(db, database.url),
      JobsModule.forRoot({ mongoUri: null, databaseUrl: database.url }, pino({ level: 'warn' })),
      HttpModule,
      AlertsModule,
      RateLimitsModule,
      AccessModule,
      FilesModule,
      OffersModule,
      OrdersModule,
      ...modules,
    ],
  })
  class ShopModule {}

  const app = await NestFactory.create<NestFastifyApplication>(ShopModule, createWebAdapter(config), {
    logger: ['error'],
  });
  await configureWebServer(app, config);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  const [offers, products] = [app.get(OffersService), app.get(ProductsService)];
  const { receiptTemplateId } = await stock(app, db, dataDir);
  const messages = app.get(MessagesService, { strict: false });
  return {
    app,
    http: request(app.getHttpServer()),
    clock,
    db,
    offers,
    products,
    orders: app.get(OrdersService),
    publishOffer: async (changes = {}) =>
      offers.publish(db.manager, {
        slug: 'kit',
        funnelKey: 'shop',
        productKey: 'kit',
        content: { title: 'The kit', headline: 'Sell it', bullets: ['All of it'], receiptTemplateId },
        discountBps: 3000,
        bumpProductKey: 'checklist',
        personalDeadline: true,
        sender: { name: 'Ada Winters', email: 'ada@example.com', postalAddress: '12 Mill Lane, Springfield' },
        ...changes,
      }),
    mailTo: async (email, grant) => {
      const mailed = await mail(db, email, grant);
      return { ...mailed, token: messages.messageToken(mailed.messageId) };
    },
    close: async () => {
      await app.close();
      if (db.isInitialized) await db.destroy();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function stock(
  app: NestFastifyApplication,
  db: DataSource,
  dataDir: string,
): Promise<{ receiptTemplateId: string }> {
  const files = app.get(FilesService);
  const store = async (fileName: string): Promise<string> => {
    const absolutePath = join(dataDir, fileName);
    await writeFile(absolutePath, `what ${fileName} holds`);
    return (await files.store(db.manager, { absolutePath, fileName })).id;
  };
  const product = { funnelKey: 'shop', description: 'Useful.' };
  const eur = (amountMinor: number) => ({ amountMinor, currency: 'EUR' });
  await app.get(ProductsService).publish(db.manager, {
    ...product,
    key: 'kit',
    name: 'Launch kit',
    price: eur(4900),
    fileIds: [await store('kit.zip')],
    licence: true,
  });
  await app.get(ProductsService).publish(db.manager, {
    ...product,
    key: 'checklist',
    name: 'Checklist',
    price: eur(900),
    fileIds: [await store('checklist.pdf')],
    licence: false,
  });
  const rows = await db.query(
    `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
     values ('emails/receipt', '', '', 'Receipt', '<p></p>', '', $1) returning id`,
    [OPENED_AT],
  );
  await db.query(`
    insert into sequence (key, funnel_key, title, sender, created_at, updated_at) values ('shop', 'shop', 'Shop', '{}', now(), now());
    insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
      values (1, 1, '{"nodes": [], "first": null, "window": null, "exitOn": ["kit"]}', '', now());
    update sequence set current_version_id = 1`);
  return { receiptTemplateId: (rows as { id: string }[])[0]?.id ?? '' };
}

async function mail(
  db: DataSource,
  email: string,
  grant: { expiresAt: Date | null } | null,
): Promise<{ subscriberId: string; messageId: string; enrollmentId: string }> {
  const idOf = async (sql: string, values: unknown[]): Promise<string> =>
    ((await db.query(`${sql} returning id`, values)) as { id: string }[])[0]?.id ?? '';
  const subscriberId = await idOf(
    `insert into subscriber (email, email_key, status, created_at, updated_at) values ($1, $1, 'active', $2, $2)`,
    [email, OPENED_AT],
  );
  const enrollmentId = await idOf(
    `insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, started_at)
     values (1, 1, $1, 'active', 'last', $2::timestamptz + interval '10 days', $2)`,
    [subscriberId, OPENED_AT],
  );
  const messageId = await idOf(
    `insert into message (dedupe_key, class, kind, subscriber_id, funnel_key, enrollment_id, step_key, email_template_id, sender, address,
       address_hash, message_id_header, state, due_at, accepted_at, created_at)
     values ('m:' || $1, 'marketing', 'sequence', $2, 'shop', $3, 'offer', 1, '{}', $1, '', $1, 'accepted', $4, $4, $4)`,
    [email, subscriberId, enrollmentId, OPENED_AT],
  );
  if (grant !== null) {
    await db.query(
      `insert into enrollment_offer (enrollment_id, offer_slug, subscriber_id, expires_at, created_at) values ($1, 'kit', $2, $3, $4)`,
      [enrollmentId, subscriberId, grant.expiresAt, OPENED_AT],
    );
  }
  return { subscriberId, messageId, enrollmentId };
}
