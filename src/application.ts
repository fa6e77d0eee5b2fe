import { mkdir } from 'node:fs/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { pino, type Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { EnvConfig } from '../config/env.js';
import { OwnerService } from './admin/access/owner.service.js';
import { setupCode } from './admin/access/setup-code.js';
import { AppModule, type AppParts } from './app.module.js';
import { IntakeWatch } from './bounces/intake-watch.service.js';
import { BounceSmtpServer } from './bounces/bounce-smtp.server.js';
import { GenerationGuard } from './delivery/generation/generation-guard.service.js';
import { RestoreWatch } from './delivery/generation/restore-watch.service.js';
import { DkimService } from './delivery/signing/dkim.service.js';
import { ParkedLanes } from './delivery/relays/parked-lanes.service.js';
import { DemoService } from './funnels/demo.service.js';
import { AlertsService } from './infra/alerts/alerts.service.js';
import { SystemClock } from './infra/clock.js';
import type { Config } from './infra/config.js';
import {
  findEmbeddedPostgresUrl,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from './infra/database/embedded-postgres.js';
import { KeptSignups } from './signup/kept-signups.service.js';
import { KeptLeavings } from './subscribers/kept-leavings.service.js';
import { awaitedDataSource } from './infra/database/awaited-data-source.js';
import { DatabaseWatch } from './infra/database/database-watch.service.js';
import { migrate, openDataSource } from './infra/database/migrate.js';
import { poolerInWords } from './infra/database/pooler.js';
import { configureWebServer, createWebAdapter } from './infra/http/web-server.js';
import { JobRunner } from './infra/jobs/job-runner.js';
import { Scheduler } from './infra/jobs/scheduler.js';
import { Wake } from './infra/jobs/wake.js';
import { freePort } from './infra/free-port.js';
import { MailboxServer } from './infra/mailbox/mailbox.server.js';
import { listenForClock } from './infra/clock-listener.js';
import { ClockOffset } from './infra/clock-offset.js';
import { DatabaseTime } from './infra/database-time.js';
import { installationKey, secretKey } from './infra/secret-key.js';
import { undoAll, type Undo } from './infra/undo.js';

export interface Application {
  /** Where it listens; `null` for a process without the role `web`. */
  url: string | null;
  /** Lets what is under way finish, then ends everything this process started, PostgreSQL last. */
  stop(): Promise<void>;
}

/** How long mails and jobs under way may take to finish at the end. */
const DRAIN_MS = 20_000;

/** Starts what the roles ask for. Whatever fails half-way is taken down again before the error is passed on. */
export async function startApplication(env: EnvConfig, print: (line: string) => void): Promise<Application> {
  const undo: Undo[] = [];
  const stop = async (): Promise<void> => undoAll(undo.splice(0));
  try {
    const opened = await openDatabase(env, { print, undo, open: (url) => awaitedDataSource(url, print) });
    const { config, dataSource } = opened;
    const clock = new SystemClock();
    const logger = pino({ level: config.logLevel });
    const time = new DatabaseTime(dataSource, clock, (line) => logger.warn(line));
    if (!config.demo) await time.measure();
    const app = await createApp({ config, dataSource, clock, logger });
    undo.push(() => app.close());
    await app.get(RestoreWatch, { strict: false }).start();
    if (!config.demo) undo.push(time.keep(clockAlert(app.get(AlertsService, { strict: false }))));
    await app.get(DatabaseWatch, { strict: false }).look();
    await app.get(KeptLeavings, { strict: false }).start();
    await app.get(KeptSignups, { strict: false }).start();
    await app.get(IntakeWatch, { strict: false }).start();
    const offset = new ClockOffset(dataSource, clock);
    await offset.load();
    if (config.demo) undo.push(await listenForClock(config.databaseUrl, clock));
    if (config.mailboxOn) {
      const mailbox = app.get(MailboxServer);
      await mailbox.listen(Number(new URL(config.smtpUrl).port));
      undo.push(() => mailbox.close());
    }
    if (config.demo) for (const line of await app.get(DemoService).applyAll()) print(line);
    if (config.roles.includes('worker')) {
      await app.get(DkimService).proveKeys();
      const [scheduler, wake] = [app.get(Scheduler), app.get(Wake)];
      await scheduler.start();
      undo.push(async () => {
        const untilMs = performance.now() + DRAIN_MS;
        await scheduler.drain(DRAIN_MS);
        await app.get(ParkedLanes).allEnded(untilMs - performance.now());
      });
      await wake.listen();
      app.get(JobRunner).runAll();
      undo.push(() => wake.close());
    }
    if (!config.roles.includes('web')) return { url: null, stop };
    if (config.bounceSmtpPort !== null) {
      const bounces = app.get(BounceSmtpServer);
      await bounces.listen(config.bounceSmtpPort, config.host, config.bounceTls);
      undo.push(() => bounces.close());
    }
    await app.listen(config.port, config.host);
    const hasOwner = await app.get(OwnerService, { strict: false }).exists();
    announce(config, print, hasOwner ? null : setupCode(config.secretKey));
    return { url: config.baseUrl, stop };
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
}

export interface CommandContext {
  config: Config;
  dataSource: DataSource;
  app: INestApplicationContext;
  /** Migrations that opening the database ran. */
  migrated: string[];
  close(): Promise<void>;
}

/** What a command works with: beside a running application it uses that one's database, else it starts its own. */
export async function openCommandContext(
  env: EnvConfig,
  print: (line: string) => void,
): Promise<CommandContext> {
  const undo: Undo[] = [];
  const close = async (): Promise<void> => undoAll(undo.splice(0));
  try {
    const beside = env.databaseUrl ?? (await findEmbeddedPostgresUrl(env.dataDir)) ?? null;
    const { config, dataSource, migrated } = await openDatabase(
      { ...env, databaseUrl: beside },
      // Whoever has typed it is told at once.
      { print, undo, open: openDataSource },
    );
    const clock = new SystemClock();
    if (!config.demo) await new DatabaseTime(dataSource, clock, print).measure();
    await new ClockOffset(dataSource, clock).load();
    const app = await NestFactory.createApplicationContext(
      AppModule.forRoot({ config, dataSource, clock, logger: quiet() }),
      {
        logger: false,
        abortOnError: false,
      },
    );
    undo.push(() => app.close());
    await app.get(GenerationGuard, { strict: false }).lookAtStart({ isWorker: false });
    return { config, dataSource, app, migrated, close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** The application without anything that runs by itself; tests start here, with their own clock. */
export async function createApp(parts: AppParts): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.forRoot(parts),
    createWebAdapter(parts.config),
    {
      logger: ['error', 'warn'],
      abortOnError: false,
    },
  );
  await configureWebServer(app, parts.config);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}

/** Each worker that is wrong says so again and again: another one that is right may have taken it for over. */
function clockAlert(alerts: AlertsService): (wrong: string | null) => Promise<void> {
  const key = 'machine:clock';
  return async (message) =>
    message === null ? alerts.resolve(key) : alerts.raise({ key, severity: 'warning', message });
}

interface Opening {
  print: (line: string) => void;
  undo: Undo[];
  open: (url: string) => Promise<DataSource>;
}

async function openDatabase(
  env: EnvConfig,
  { print, undo, open }: Opening,
): Promise<{ config: Config; dataSource: DataSource; migrated: string[] }> {
  await mkdir(env.dataDir, { recursive: true });
  const key = await secretKey(env.secretKey, env.dataDir);
  let postgres: EmbeddedPostgres | undefined;
  if (env.databaseUrl === null) {
    postgres = await startEmbeddedPostgres({ dataDir: env.dataDir, log: print });
    const { stop } = postgres;
    undo.push(() => stop());
  }
  const databaseUrl = env.databaseUrl ?? postgres?.url ?? '';
  const dataSource = await open(databaseUrl);
  undo.push(async () => (dataSource.isInitialized ? dataSource.destroy() : undefined));
  // The lock of a migration would be the first that somebody else lets go of.
  if (postgres === undefined) await poolerInWords(dataSource);
  const ran = await migrate(dataSource);
  if (ran.length > 0)
    print(`Database brought up to date (${ran.length} migration${ran.length === 1 ? '' : 's'})`);
  const smtpUrl = env.relays[0]?.url ?? `smtp://127.0.0.1:${await freePort()}`;
  return {
    config: Object.freeze({
      ...{ ...env, databaseUrl, smtpUrl },
      secretKey: await installationKey(dataSource, key),
    }),
    dataSource,
    migrated: ran,
  };
}

/** Commands say what they do themselves. */
function quiet(): Logger {
  return pino({ level: 'silent' });
}

function announce(config: Config, print: (line: string) => void, code: string | null): void {
  const rows: [string, string][] = [
    ['Admin', '/admin'],
    ['API', '/api/docs'],
  ];
  if (config.demo) rows.unshift(['Squeeze page', '/p/niches']);
  if (config.mailboxOn) rows.push(['Mailbox', '/mailbox']);
  print('');
  print(`  Wellspring runs on ${config.baseUrl}`);
  for (const [name, path] of rows) print(`  ${name.padEnd(13)} ${config.baseUrl}${path}`);
  if (code !== null) print(`  ${'Set-up code'.padEnd(13)} ${code}, for /admin/setup from another machine`);
  print('');
}
