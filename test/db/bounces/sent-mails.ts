import { randomBytes } from 'node:crypto';
import { verpToken } from '../../../src/delivery/mails/verp.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { addressHash } from '../../../src/subscribers/address-hash.js';
import { API_KEY, type TestApp } from '../../support/app.js';

export interface Sent {
  email: string;
  id: string;
  /** As the header has it. */
  messageId: string;
  tag: string;
}

export interface SentMails {
  /** A mail to somebody new, which the relay has taken. */
  sent: () => Promise<Sent>;
  statusOf: (mail: Sent) => Promise<string>;
  /** Reports about the mail, as the API lists them. */
  counted: (mail: Sent) => Promise<number>;
}

export function sentMails(t: TestApp): SentMails {
  const config = t.app.get<Config>(CONFIG, { strict: false });
  let count = 0;
  const sent = async (): Promise<Sent> => {
    const email = `person${++count}@example.org`;
    const now = t.clock.now();
    const people: { id: string }[] = await t.dataSource.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at) values ($1, $1, 'active', $2, $2) returning id`,
      [email, now],
    );
    const messageId = `<${randomBytes(40)
      .toString('base64url')
      .toLowerCase()
      .replace(/[^a-z2-7]/g, 'a')
      .slice(0, 26)}@example.com>`;
    const rows: { id: string }[] = await t.dataSource.query(
      `insert into message (dedupe_key, class, kind, subscriber_id, email_template_id, sender, address, address_hash,
         message_id_header, state, due_at, settled_at, accepted_at, created_at, lane_key)
       values ($1, 'marketing', 'sequence', $2, (select max(id) from email_template), '{}', $1, $3, $4, 'accepted', $5, $5, $5, $5,
         'example.com|gmail') returning id`,
      [email, people[0]?.id, addressHash(config.secretKey, email), messageId, now],
    );
    const id = rows[0]?.id ?? '';
    return { email, id, messageId, tag: verpToken(config.secretKey, id) };
  };

  const statusOf = async ({ email }: Sent): Promise<string> => {
    const rows: { status: string }[] = await t.dataSource.query(
      'select status from subscriber where email = $1',
      [email],
    );
    return rows[0]?.status ?? 'nobody';
  };
  const counted = async ({ id }: Sent): Promise<number> => {
    const answer = await t.http
      .get(`/api/v1/bounces?messageId=${id}`)
      .auth(API_KEY, { type: 'bearer' })
      .expect(200);
    return (answer.body as { data: unknown[] }).data.length;
  };
  return { sent, statusOf, counted };
}
