import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../config/env.js';
import { openCommandContext } from '../../src/application.js';
import { MessagesService } from '../../src/delivery/planning/messages.service.js';
import { compileMail } from '../../src/delivery/mails/mjml.templates.js';
import { TEMPLATES_DIR } from '../../src/infra/http/templates-dir.js';
import type { DurablePostgres } from '../support/durable-postgres.js';
import { planMails, seedReaders, seedTemplate } from '../support/mail-seed.js';
import { SECRET_KEY } from '../support/worker-process.js';

export const FAR_DAY = new Date('2100-01-01T00:00:00Z');
const MAILS = join(TEMPLATES_DIR, '../test/bench/mails');
const EVERY = 10;

/** A database with `count` mails planned by the product for a far day, every tenth transactional: scenarios clone it. */
export async function seedLedger(cluster: DurablePostgres, count: number): Promise<string> {
  const database = await cluster.createDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-fault-'));
  const env = readConfig({
    DATABASE_URL: cluster.url(database),
    DATA_DIR: dataDir,
    SMTP_URL: 'smtp://127.0.0.1:9',
    SECRET_KEY,
    DEMO: 'false',
  });
  const context = await openCommandContext(env, () => undefined);
  const { app, config, dataSource } = context;
  try {
    const messages = app.get(MessagesService);
    await dataSource.transaction(async (manager) => {
      const readers = await seedReaders(manager, count);
      const templateId = await seedTemplate(manager, await compileMail(MAILS, 'letter'));
      const seed = { manager, messages, secret: config.secretKey };
      // In the order of the readers, so that any first part of the list has both classes.
      for (let start = 0; start < count; start += EVERY) {
        const [first, ...others] = readers.slice(start, start + EVERY);
        const plan = { batch: 'fault', templateId, dueAt: FAR_DAY };
        await planMails(seed, first ? [first] : [], { ...plan, class: 'transactional' });
        await planMails(seed, others, { ...plan, class: 'marketing' });
      }
    });
  } finally {
    await context.close();
    await rm(dataDir, { recursive: true, force: true });
  }
  return database;
}
