import { createSign, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BouncesService } from '../../../src/bounces/bounces.service.js';
import { HooksService } from '../../../src/bounces/hooks.service.js';
import { signedText, snsMessage } from '../../../src/bounces/providers/sns.js';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { SnsVerifier } from '../../../src/bounces/sns-verifier.service.js';
import { messageByReply } from '../../../src/delivery/ledger/message-evidence.queries.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { RateLimits } from '../../../src/infra/rate-limits/rate-limits.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { sentMails, type Sent, type SentMails } from './sent-mails.js';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), 'utf8');
const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:bounces';
const HOUR_MS = 3_600_000;

describe('notifications of an Amazon identity, which have neither tags nor headers', () => {
  let t: TestApp;
  let sent: SentMails['sent'];
  let statusOf: SentMails['statusOf'];
  let counted: SentMails['counted'];
  let hooks: HooksService;

  beforeAll(async () => {
    t = await startTestApp({ variables: { SES_TOPIC_ARN: TOPIC } });
    ({ sent, statusOf, counted } = sentMails(t));
    hooks = new HooksService(
      t.app.get(BouncesService, { strict: false }),
      new SnsVerifier(async () => fixture('test-certificate.pem')),
      t.app.get(RateLimits, { strict: false }),
      t.app.get(AlertsService, { strict: false }),
      t.app.get<Config>(CONFIG, { strict: false }),
      t.clock,
    );
  });
  afterAll(async () => t.close());

  const newName = (): string => `0102${randomBytes(6).toString('hex')}-${randomUUID()}-000000`;
  /** Amazon takes the mail; its worker has written down what it said. */
  const taken = async (name = newName()): Promise<Sent & { name: string }> => {
    const mail = await sent();
    await t.dataSource.query(`update message set reply_code = 250, reply_text = $2 where id = $1`, [
      mail.id,
      `250 Ok ${name}`,
    ]);
    return { ...mail, name };
  };
  const tell = async (event: object): Promise<void> => {
    const unsigned = snsMessage.parse({
      Type: 'Notification',
      MessageId: randomUUID(),
      TopicArn: TOPIC,
      Message: JSON.stringify(event),
      Timestamp: t.clock.now().toISOString(),
      SignatureVersion: '2',
      Signature: '',
      SigningCertURL: 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem',
    });
    const signer = createSign('RSA-SHA256').update(signedText(unsigned));
    const Signature = signer.sign(fixture('test-key.pem'), 'base64');
    const raw = Buffer.from(JSON.stringify({ ...unsigned, Signature }));
    await hooks.receive('ses', { raw, body: raw.toString(), header: () => '' });
  };
  const about = ({ email, name }: Pick<Sent & { name: string }, 'email' | 'name'>, agoMs = HOUR_MS) => ({
    timestamp: new Date(t.clock.now().getTime() - agoMs).toISOString(),
    source: 'ada@example.com',
    sourceArn: 'arn:aws:ses:eu-west-1:123456789012:identity/example.com',
    sendingAccountId: '123456789012',
    messageId: name,
    destination: [email],
  });
  const bounce = (mail: Pick<Sent & { name: string }, 'email' | 'name'>, agoMs?: number) => ({
    notificationType: 'Bounce',
    bounce: {
      bounceType: 'Permanent',
      bounceSubType: 'General',
      bouncedRecipients: [
        {
          emailAddress: mail.email,
          action: 'failed',
          status: '5.1.1',
          diagnosticCode: `smtp; 550 5.1.1 <${mail.email}>: user unknown`,
        },
      ],
    },
    mail: about(mail, agoMs),
  });
  const unnamedAlerts = async () =>
    (await t.app.get(AlertsService, { strict: false }).open()).filter(({ key }) =>
      key.startsWith('bounces:unnamed:'),
    );

  it('were answered and thrown away: bounces, complaints and deliveries are about the mail that Amazon so named', async () => {
    const [dead, angry, fine, unclear] = [await taken(), await taken(), await taken(), await taken()];
    await t.dataSource.query(
      `update message set state = 'unknown', unknown_count = 1, accepted_at = null where id = $1`,
      [unclear.id],
    );
    await tell(bounce(dead));
    await tell({
      notificationType: 'Complaint',
      complaint: { complainedRecipients: [{ emailAddress: angry.email }], complaintFeedbackType: 'abuse' },
      mail: about(angry),
    });
    for (const mail of [fine, unclear])
      await tell({
        notificationType: 'Delivery',
        delivery: { recipients: [mail.email], smtpResponse: '250 2.0.0 Ok' },
        mail: about(mail),
      });
    expect(await Promise.all([dead, angry, fine].map(statusOf))).toEqual(['bounced', 'complained', 'active']);
    expect(await Promise.all([fine, unclear].map(counted))).toEqual([0, 0]);
    expect(await t.dataSource.query('select state from message where id = $1', [unclear.id])).toEqual([
      { state: 'accepted' },
    ]);
    expect(await unnamedAlerts()).toEqual([]);
  });

  it('are told again by Amazon where the reply to the mail is not written down yet', async () => {
    const mail = { ...(await sent()), name: newName() };
    await expect(tell(bounce(mail, 1_000))).rejects.toMatchObject({ code: 'HOOK_UNREACHABLE' });
    await t.dataSource.query(`update message set reply_text = $2 where id = $1`, [
      mail.id,
      `250 Ok ${mail.name}`,
    ]);
    await tell(bounce(mail, 2_000));
    expect(await statusOf(mail)).toBe('bounced');
    expect(await unnamedAlerts()).toEqual([]);
  });

  it('that name no mail of ours are counted, and the owner is told what to set, for as long as they come', async () => {
    const mail = { ...(await sent()), name: newName() };
    await tell(bounce(mail));
    await tell({ ...bounce(mail), mail: { ...about(mail), messageId: "no name' \0" } });
    expect(await statusOf(mail)).toBe('active');
    const [alert] = await unnamedAlerts();
    expect(alert).toMatchObject({ key: 'bounces:unnamed:ses', facts: { reportsOfLastDay: 1 } });
    expect(alert?.message).toContain('Include original headers');
    t.clock.advance(8 * 24 * HOUR_MS);
    await t.app.get(RatesWatch, { strict: false }).look();
    expect(await unnamedAlerts()).toEqual([]);
  });

  it('find their mail by an index that holds no other mail', async () => {
    const mail = await taken();
    await t.dataSource.transaction(async (manager) => {
      await manager.query('set local enable_seqscan = off');
      await manager.query('set local enable_bitmapscan = off');
      const plan: unknown = await manager.query(
        `explain select id from message where reply_text = '250 Ok ${mail.name}' and reply_text like '250 Ok %-000000' and state in ('accepted', 'unknown')`,
      );
      expect(JSON.stringify(plan)).toContain('message_amazon');
      expect(await messageByReply(manager, `250 Ok ${mail.name}`)).toBe(mail.id);
      expect(await messageByReply(manager, '250 2.0.0 Ok: queued')).toBeNull();
    });
  });
});
