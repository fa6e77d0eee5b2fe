import { type DynamicModule, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { DataSource } from 'typeorm';
import { readConfig } from '../../../../config/env.js';
import { AccessModule } from '../../../../src/infra/access/access.module.js';
import { DatabaseModule } from '../../../../src/infra/database/database.module.js';
import { openDataSource } from '../../../../src/infra/database/migrate.js';
import { HttpModule } from '../../../../src/infra/http/http.module.js';
import { configureWebServer, createWebAdapter } from '../../../../src/infra/http/web-server.js';
import { JobsModule } from '../../../../src/infra/jobs/jobs.module.js';
import { SettingsModule } from '../../../../src/infra/settings.module.js';
import { FixedClock } from '../../../support/clock.js';
import { createTestDatabase } from '../../../support/database.js';

export const ENVIRONMENT_KEY = 'environment-key-of-the-test';
export const START = new Date('2026-01-05T09:00:00Z');

export interface HttpApp {
  app: NestFastifyApplication;
  clock: FixedClock;
  dataSource: DataSource;
  inject: NestFastifyApplication['inject'];
  close(): Promise<void>;
}

@Module({})
class TestModule {
  static with(imports: (Type | DynamicModule)[], controllers: Type[]): DynamicModule {
    return { module: TestModule, imports, controllers };
  }
}

/** The web server with its own modules, the test's controllers and nothing else, on a fresh database. */
export async function startHttpApp(controllers: Type[] = []): Promise<HttpApp> {
  const database = await createTestDatabase();
  const clock = new FixedClock(START);
  const env = readConfig({ API_KEY: ENVIRONMENT_KEY, BASE_URL: 'https://mail.example.com' });
  const config = {
    ...env,
    databaseUrl: database.url,
    secretKey: Buffer.alloc(32, 7),
    smtpUrl: 'smtp://127.0.0.1:1',
  };
  const dataSource = await openDataSource(database.url);
  const root = TestModule.with(
    [
      SettingsModule.forRoot(config, clock),
      DatabaseModule.forRoot(dataSource, database.url),
      JobsModule.forRoot({ mongoUri: null, databaseUrl: database.url }),
      HttpModule,
      AccessModule,
    ],
    controllers,
  );
  const release = async (): Promise<void> => {
    if (dataSource.isInitialized) await dataSource.destroy();
    await database.drop();
  };
  try {
    const app = await NestFactory.create<NestFastifyApplication>(root, createWebAdapter(config), {
      logger: false,
      abortOnError: false,
    });
    await configureWebServer(app, config);
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    const close = async (): Promise<void> => {
      await app.close();
      await release();
    };
    return { app, clock, dataSource, inject: app.inject.bind(app), close };
  } catch (error) {
    await release();
    throw error;
  }
}
