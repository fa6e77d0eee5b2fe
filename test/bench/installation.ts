import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../config/env.js';
import { openCommandContext, type CommandContext } from '../../src/application.js';
import { DurablePostgres } from '../support/durable-postgres.js';
import { SECRET_KEY } from '../support/worker-process.js';

export interface Installation extends Pick<CommandContext, 'app' | 'dataSource'> {
  /** A folder of its own, which goes with it. */
  folder: string;
  close(): Promise<void>;
}

/** The product as a command has it, on its own durable PostgreSQL without rows. */
export async function openInstallation(): Promise<Installation> {
  const cluster = await DurablePostgres.start();
  const folder = await mkdtemp(join(tmpdir(), 'wellspring-bench-'));
  const env = readConfig({
    ...{ DATABASE_URL: cluster.url(await cluster.createDatabase()), DATA_DIR: folder, SECRET_KEY },
    ...{ SMTP_URL: 'smtp://127.0.0.1:9', DEMO: 'false' },
  });
  const context = await openCommandContext(env, () => undefined);
  return {
    ...{ app: context.app, dataSource: context.dataSource, folder },
    close: async () => {
      await context.close();
      await cluster.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
