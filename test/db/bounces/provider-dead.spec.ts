import { createHmac, randomBytes, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';
import { MAILGUN_KEY, POSTMARK_SECRET, PROVIDER_VARIABLES, SENDGRID } from './provider-keys.js';
import { sentMails, type Sent, type SentMails } from './sent-mails.js';

const WORDS = '550 5.5.0 Requested action not taken: mailbox unavailable';

describe('addresses that a provider calls dead', () => {
  let t: TestApp;
  let sent: SentMails['sent'];
  let statusOf: SentMails['statusOf'];

  beforeAll(async () => {
    t = await startTestApp({ variables: PROVIDER_VARIABLES });
    ({ sent, statusOf } = sentMails(t));
  });
  afterAll(async () => t.close());

  const now = (): string => String(Math.floor(t.clock.now().getTime() / 1000));
  const postmark = async (mail: Sent) =>
    t.http
      .post('/api/public/hooks/postmark')
      .auth('hooks', POSTMARK_SECRET)
      .send({
        RecordType: 'Bounce',
        Type: 'HardBounce',
        Email: mail.email,
        Details: WORDS,
        Metadata: { wellspring: mail.tag },
      });
  const sendgrid = async (mail: Sent) => {
    const body = JSON.stringify([
      {
        ...{ event: 'bounce', type: 'bounce', email: mail.email, reason: WORDS, wellspring: mail.tag },
        bounce_classification: 'Invalid Address',
      },
    ]);
    const signature = sign('sha256', Buffer.from(now() + body), SENDGRID.privateKey).toString('base64');
    return t.http
      .post('/api/public/hooks/sendgrid')
      .set('Content-Type', 'application/json')
      .set('X-Twilio-Email-Event-Webhook-Timestamp', now())
      .set('X-Twilio-Email-Event-Webhook-Signature', signature)
      .send(body);
  };
  const mailgun = async (mail: Sent) => {
    const [timestamp, token] = [now(), randomBytes(25).toString('hex')];
    const signature = createHmac('sha256', MAILGUN_KEY)
      .update(timestamp + token)
      .digest('hex');
    const event = {
      ...{ event: 'failed', severity: 'permanent', reason: 'bounce', recipient: mail.email },
      'delivery-status': { code: 550, message: WORDS.slice(4) },
      'user-variables': { wellspring: mail.tag },
    };
    return t.http
      .post('/api/public/hooks/mailgun')
      .send({ signature: { timestamp, token, signature }, 'event-data': event });
  };

  it('end their readers at once: each was written to five times', async () => {
    for (const tell of [postmark, sendgrid, mailgun]) {
      const mail = await sent();
      expect((await tell(mail)).status).toBe(200);
      expect(await statusOf(mail)).toBe('bounced');
    }
  });

  it('pause a broadcast to a list of them, thirty among two hundred', async () => {
    const broadcasts: { id: string }[] = await t.dataSource.query(
      `insert into broadcast (title, email_template_id, sender, state, created_at)
       values ('News', (select max(id) from email_template), '{}', 'running', $1) returning id`,
      [t.clock.now()],
    );
    const id = broadcasts[0]?.id;
    const mails: Sent[] = [];
    for (let count = 0; count < 200; count++) mails.push(await sent());
    await t.dataSource.query(
      `update message set broadcast_id = $1, kind = 'broadcast' where id = any($2::bigint[])`,
      [id, mails.map((mail) => mail.id)],
    );
    for (const mail of mails.slice(0, 30)) await postmark(mail);
    expect(await t.dataSource.query('select state from broadcast where id = $1', [id])).toEqual([
      { state: 'paused' },
    ]);
  });
});
