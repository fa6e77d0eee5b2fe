import { createHash } from 'node:crypto';
import type { EntityManager } from 'typeorm';
import { linkTemplates, markLinks } from '../../src/delivery/mails/mail-links.js';
import type { MessageClass, PlannedMessage } from '../../src/delivery/message/message.js';
import type { MailTemplate } from '../../src/delivery/mails/mjml.templates.js';
import type { MessagesService } from '../../src/delivery/planning/messages.service.js';
import { addressHash } from '../../src/subscribers/address-hash.js';

export interface Reader {
  id: string;
  email: string;
}

export interface SeedContext {
  manager: EntityManager;
  messages: MessagesService;
  secret: Buffer;
}

export interface SeedPlan {
  /** Makes the dedupe keys of one batch differ from those of another. */
  batch: string;
  templateId: string;
  class: MessageClass;
  dueAt: Date;
  /** Personal fields beside the name. */
  data?: (index: number) => Record<string, unknown>;
}

export const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' };
const ROWS_PER_STATEMENT = 1_000;

/** So many confirmed people of nobody's, `reader-1@example.net` and on. */
export async function seedReaders(manager: EntityManager, count: number): Promise<Reader[]> {
  const now = new Date();
  return manager.query(
    `insert into subscriber (email, email_key, name, status, time_zone, locale, fields, created_at, confirmed_at, updated_at)
     select 'reader-' || n || '@example.net', 'reader-' || n || '@example.net', 'Grace Reader ' || n, 'active', 'Europe/Berlin',
       'en', jsonb_build_object('city', 'Springfield'), $2, $2, $2
     from generate_series(1, $1) n returning id, email`,
    [count, now],
  );
}

/** Stores a compiled mail as the product stores one of its own folder, with its links marked for tracking. */
export async function seedTemplate(
  manager: EntityManager,
  mail: MailTemplate & { source: string },
): Promise<string> {
  const ids = new Map<string, string>();
  for (const template of linkTemplates(mail.html)) {
    const rows: { id: string }[] = await manager.query(
      `insert into link (url_template, url_hash, created_at) values ($1, $2, now()) returning id`,
      [template, createHash('sha256').update(template).digest()],
    );
    ids.set(template, rows[0]?.id ?? '');
  }
  const rows: { id: string }[] = await manager.query(
    `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
     values ('proof', $1, $2, $3, $4, $5, now()) returning id`,
    [
      createHash('sha256').update(mail.source).digest(),
      mail.source,
      mail.subject,
      markLinks(mail.html, ids),
      mail.text,
    ],
  );
  return rows[0]?.id ?? '';
}

/** One mail to each reader through the product's own planning; wakes the workers when the transaction commits. */
export async function planMails(
  { manager, messages, secret }: SeedContext,
  readers: readonly Reader[],
  plan: SeedPlan,
): Promise<number> {
  let planned = 0;
  for (let start = 0; start < readers.length; start += ROWS_PER_STATEMENT) {
    const rows = readers.slice(start, start + ROWS_PER_STATEMENT).map(({ id, email }, i): PlannedMessage => ({
      dedupeKey: `proof:${plan.batch}:${id}`,
      class: plan.class,
      kind: plan.class === 'marketing' ? 'broadcast' : 'receipt',
      subscriberId: id,
      funnelKey: 'proof',
      stepKey: plan.batch,
      templateId: plan.templateId,
      data: plan.data?.(start + i) ?? {},
      sender: SENDER,
      address: email,
      addressHash: addressHash(secret, email),
      dueAt: plan.dueAt,
    }));
    planned += (await messages.plan(manager, rows)).length;
  }
  return planned;
}
