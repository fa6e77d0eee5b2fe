import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { pino } from 'pino';
import request from 'supertest';
import type { DataSource } from 'typeorm';
import { readConfig } from '../../config/env.js';
import { createApp } from '../../src/application.js';
import { DemoService } from '../../src/funnels/demo.service.js';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { JobRunner } from '../../src/infra/jobs/job-runner.js';
import { freePort } from '../../src/infra/free-port.js';
import { MailboxServer } from '../../src/infra/mailbox/mailbox.server.js';
import { secretKey } from '../../src/infra/secret-key.js';
import { HitRecorder } from '../../src/tracking/hit-recorder.service.js';
import { FixedClock } from './clock.js';
import { createTestDatabase } from './database.js';

/** A Monday morning. */
export const START = new Date('2026-01-05T09:00:00Z');
export const API_KEY = 'test-key-of-sixteen-or-more';

export interface TestMail {
  id: string;
  subject: string;
  to: string;
  html: string;
  text: string;
  headers: { name: string; value: string }[];
}

export interface TestApp {
  app: NestFastifyApplication;
  clock: FixedClock;
  dataSource: DataSource;
  http: ReturnType<typeof request>;
  /** Runs what is due now until nothing is left. */
  runDue(): Promise<void>;
  /** Mails to the address, oldest first, as the built-in mailbox received them over SMTP. */
  mailsTo(address: string): Promise<TestMail[]>;
  close(): Promise<void>;
}

/**
 * The real application on a fresh database, with the built-in mailbox and the demo funnel; only the clock is ours.
 * `baseUrl` is for a test that lets the application listen, so that links in mails lead to it; `variables` are more of
 * the environment; `relay` is an SMTP server in place of the mailbox, `databaseUrl` a database of the test's own.
 */
export async function startTestApp({
  baseUrl = 'http://localhost:3000',
  variables = {},
  relay,
  databaseUrl,
}: {
  baseUrl?: string;
  variables?: Record<string, string>;
  relay?: string | undefined;
  databaseUrl?: string;
} = {}): Promise<TestApp> {
  const database =
    databaseUrl === undefined
      ? await createTestDatabase()
      : { url: databaseUrl, drop: async () => undefined };
  const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-test-'));
  const env = readConfig({
    DATA_DIR: dataDir,
    DATABASE_URL: database.url,
    DEMO: 'true',
    API_KEY,
    LOG_LEVEL: 'error',
    BASE_URL: baseUrl,
    ...variables,
  });
  const mailboxUrl = `smtp://127.0.0.1:${await freePort()}`;
  const smtpUrl = relay ?? mailboxUrl;
  const config = {
    ...env,
    databaseUrl: database.url,
    secretKey: await secretKey(env.secretKey, dataDir),
    smtpUrl,
  };
  const dataSource = await openDataSource(database.url);
  const clock = new FixedClock(START);
  const app = await createApp({ config, dataSource, clock, logger: pino({ level: 'error' }) });
  const mailbox = app.get(MailboxServer);
  await mailbox.listen(Number(new URL(mailboxUrl).port));
  await app.get(DemoService).applyAll();
  const http = request(app.getHttpServer());
  const runner = app.get(JobRunner);
  return {
    app,
    clock,
    dataSource,
    http,
    runDue: async () => {
      await app.get(HitRecorder).flush();
      for (let round = 0; round < 3; round++) {
        await runner.run('sequences.advance-due');
        await runner.run('delivery.send-due');
      }
    },
    mailsTo: async (address) => {
      const list = await http.get('/mailbox?limit=200').set('Accept', 'application/json').expect(200);
      const rows = (list.body.data as { id: string; to: string }[])
        .filter(({ to }) => to.includes(address))
        .toReversed();
      return Promise.all(
        rows.map(
          async ({ id }) =>
            (await http.get(`/mailbox/${id}`).set('Accept', 'application/json').expect(200)).body as TestMail,
        ),
      );
    },
    close: async () => {
      await app.close();
      await mailbox.close();
      if (dataSource.isInitialized) await dataSource.destroy();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** The path of the first link in the mail that matches. */
export function linkIn(mail: TestMail, pattern: RegExp): string {
  for (const [, href = ''] of mail.html.matchAll(/(?:href|src)="([^"]+)"/g)) {
    const url = href.replaceAll('&amp;', '&');
    if (pattern.test(url)) return url.replace(/^https?:\/\/[^/]+/, '');
  }
  throw new Error(`no link like ${pattern} in "${mail.subject}"`);
}
