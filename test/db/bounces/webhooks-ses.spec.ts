import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BouncesService } from '../../../src/bounces/bounces.service.js';
import { HooksService } from '../../../src/bounces/hooks.service.js';
import { signedText, snsMessage } from '../../../src/bounces/providers/sns.js';
import { SnsVerifier } from '../../../src/bounces/sns-verifier.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { statusOfCode } from '../../../src/infra/http/problem.js';
import { RateLimits } from '../../../src/infra/rate-limits/rate-limits.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { sentMails, type Sent, type SentMails } from './sent-mails.js';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), 'utf8');
const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:bounces';
const CERTIFICATE_URL = 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem';

describe('webhooks of Amazon SES', () => {
  let t: TestApp;
  let config: Config;
  let sent: SentMails['sent'];
  let statusOf: SentMails['statusOf'];
  let counted: SentMails['counted'];

  beforeAll(async () => {
    t = await startTestApp({ variables: { SES_TOPIC_ARN: TOPIC } });
    config = t.app.get<Config>(CONFIG, { strict: false });
    ({ sent, statusOf, counted } = sentMails(t));
  });
  afterAll(async () => t.close());

  const asked: string[] = [];
  let isAway = false;
  /** Amazon, as far as it is asked; every other host answers with a certificate of its own, too. */
  const amazon = async (url: URL): Promise<string | null> => {
    asked.push(url.href);
    if (isAway) throw new TypeError('fetch failed');
    if (url.pathname === '/nothing.pem') return null;
    return fixture('test-certificate.pem');
  };
  const hooks = (): HooksService =>
    new HooksService(
      t.app.get(BouncesService, { strict: false }),
      new SnsVerifier(amazon),
      t.app.get(RateLimits, { strict: false }),
      t.app.get(AlertsService, { strict: false }),
      config,
      t.clock,
    );
  const message = (change: object, key = fixture('test-key.pem')): Buffer => {
    const unsigned = snsMessage.parse({
      Type: 'Notification',
      MessageId: randomBytes(8).toString('hex'),
      TopicArn: TOPIC,
      Message: '{}',
      Timestamp: t.clock.now().toISOString(),
      SignatureVersion: '2',
      Signature: '',
      SigningCertURL: CERTIFICATE_URL,
      ...change,
    });
    const signer = createSign(unsigned.SignatureVersion === '1' ? 'RSA-SHA1' : 'RSA-SHA256');
    const Signature = signer.update(signedText(unsigned)).sign(key, 'base64');
    return Buffer.from(JSON.stringify({ ...unsigned, Signature }));
  };
  const receive = async (raw: Buffer): Promise<void> =>
    hooks().receive('ses', { raw, body: raw.toString(), header: () => '' });
  const bounce = (mail: Sent, more: object = {}): string =>
    JSON.stringify({
      notificationType: 'Bounce',
      bounce: {
        bounceType: 'Permanent',
        bounceSubType: 'General',
        bouncedRecipients: [
          {
            emailAddress: mail.email,
            status: '5.1.1',
            diagnosticCode: `smtp; 550 5.1.1 <${mail.email}>: user unknown`,
          },
        ],
      },
      mail: { source: 'ada@example.com', destination: [mail.email], tags: { wellspring: [mail.tag] } },
      ...more,
    });

  it('takes signed bounces and complaints, by tag, return path or returned headers', async () => {
    const [dead, angry, other, old] = [await sent(), await sent(), await sent(), await sent()];
    await receive(message({ Message: bounce(dead) }));
    await receive(
      message({
        Message: JSON.stringify({
          eventType: 'Complaint',
          complaint: {
            complainedRecipients: [{ emailAddress: angry.email }],
            complaintFeedbackType: 'abuse',
          },
          mail: { source: `b+${angry.tag}@bounce.example.com`, destination: [angry.email] },
        }),
      }),
    );
    const headers = [
      { name: 'X-Wellspring-Id', value: other.messageId.slice(1, 27) },
      { name: 'From', value: 'ada@example.com' },
    ];
    await receive(message({ Message: bounce(other, { mail: { destination: [other.email], headers } }) }));
    await receive(message({ Message: bounce(old), SignatureVersion: '1' }));
    expect(await Promise.all([dead, angry, other, old].map(statusOf))).toEqual([
      'bounced',
      'complained',
      'bounced',
      'bounced',
    ]);
  });

  it.each([
    ['Permanent', 'General', {}, 'bounced'],
    ['Permanent', 'General', { status: '5.0.0' }, 'bounced'],
    ['Permanent', '', {}, 'bounced'],
    ['Permanent', 'UnsubscribedRecipient', { status: '5.1.1' }, 'unsubscribed'],
    ['Transient', 'General', {}, 'active'],
    ['Undetermined', 'Undetermined', {}, 'active'],
    ['Permanent', 'General', { status: '5.7.1' }, 'active'],
    ['Permanent', 'General', { diagnosticCode: 'smtp; 554 5.7.1 blocked for spam' }, 'active'],
  ])(
    'a bounce that Amazon calls %s/%s, with no more than %j, leaves its reader %s',
    async (type, kind, said, status) => {
      const mail = await sent();
      const report = {
        bounceType: type,
        bounceSubType: kind,
        bouncedRecipients: [{ emailAddress: mail.email, ...said }],
      };
      await receive(message({ Message: bounce(mail, { bounce: report }) }));
      expect(await statusOf(mail)).toBe(status);
    },
  );

  it('a virus that Amazon found alerts the owner, and a click or an opening is no report', async () => {
    const mail = await sent();
    const about = { source: 'ada@example.com', destination: [mail.email], tags: { wellspring: [mail.tag] } };
    for (const eventType of ['Open', 'Click', 'Send', 'Subscription'])
      await receive(message({ Message: JSON.stringify({ eventType, mail: about }) }));
    expect(await counted(mail)).toBe(0);
    await receive(message({ Message: JSON.stringify({ eventType: 'Reject', mail: about }) }));
    expect(await statusOf(mail)).toBe('active');
    expect(await t.app.get(BouncesService, { strict: false }).list({ limit: 1 })).toMatchObject([
      { verdict: 'sender', reason: 'virus' },
    ]);
  });

  it.each([
    ['abuse', 'complained'],
    ['other', 'unsubscribed'],
    ['fraud', 'unsubscribed'],
    ['not-spam', 'active'],
    ['something-new', 'active'],
  ])(
    'a complaint of the type %s leaves its reader %s: other and fraud ended nothing',
    async (type, status) => {
      const mail = await sent();
      const complaint = {
        complainedRecipients: [{ emailAddress: mail.email }],
        complaintFeedbackType: type,
      };
      const about = { destination: [mail.email], tags: { wellspring: [mail.tag] } };
      await receive(message({ Message: JSON.stringify({ eventType: 'Complaint', complaint, mail: about }) }));
      expect(await statusOf(mail)).toBe(status);
    },
  );

  it('counts a repeated message once, also half an hour later', async () => {
    const mail = await sent();
    const raw = message({ Message: bounce(mail) });
    await receive(raw);
    t.clock.advance(30 * 60_000);
    await receive(raw);
    expect(await counted(mail)).toBe(1);
  });

  it('refuses another topic, another key, an old message and a changed one', async () => {
    const mail = await sent();
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
      format: 'pem',
      type: 'pkcs8',
    });
    const changed = JSON.parse(message({ Message: bounce(await sent()) }).toString()) as object;
    for (const raw of [
      message({ Message: bounce(mail), TopicArn: `${TOPIC}-of-somebody-else` }),
      message({ Message: bounce(mail) }, String(other)),
      message({
        Message: bounce(mail),
        Timestamp: new Date(t.clock.now().getTime() - 4_000_000).toISOString(),
      }),
      message({
        Message: bounce(mail),
        Timestamp: new Date(t.clock.now().getTime() + 301_000).toISOString(),
      }),
      Buffer.from(JSON.stringify({ ...changed, Message: bounce(mail) })),
    ]) {
      await expect(receive(raw)).rejects.toMatchObject({ code: 'HOOK_FORBIDDEN' });
    }
    expect([await statusOf(mail), await counted(mail)]).toEqual(['active', 0]);
  });

  it.each([
    'https://example.com/SimpleNotificationService-1.pem',
    'http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem',
    'https://sns.eu-west-1.amazonaws.com.example.com/a.pem',
    'https://sns.eu-west-1.amazonaws.com@example.com/a.pem',
    'https://sns.eu-west-1.amazonaws.com:8443/a.pem',
    'https://bucket.s3.amazonaws.com/a.pem',
    'https://sns.eu-west-1.amazonaws.com/a.pem?x=1',
    'https://sns.eu-west-1.amazonaws.com/a/../b.html',
    'file:///etc/passwd',
  ])('asks no certificate of %s', async (SigningCertURL) => {
    const mail = await sent();
    asked.length = 0;
    await expect(receive(message({ Message: bounce(mail), SigningCertURL }))).rejects.toMatchObject({
      code: 'HOOK_FORBIDDEN',
    });
    expect(asked).toEqual([]);
    expect(await statusOf(mail)).toBe('active');
  });

  it('asks Amazon to send again what came while its certificate could not be had: it was refused for good', async () => {
    const mail = await sent();
    const raw = message({ Message: bounce(mail) });
    isAway = true;
    try {
      await expect(receive(raw)).rejects.toMatchObject({ code: 'HOOK_UNREACHABLE' });
    } finally {
      isAway = false;
    }
    expect(statusOfCode('HOOK_UNREACHABLE')).toBe(503);
    expect(await statusOf(mail)).toBe('active');
    await receive(raw);
    expect(await statusOf(mail)).toBe('bounced');
    const SigningCertURL = 'https://sns.eu-west-1.amazonaws.com/nothing.pem';
    await expect(receive(message({ Message: bounce(mail), SigningCertURL }))).rejects.toMatchObject({
      code: 'HOOK_FORBIDDEN',
    });
  });

  it('a complaint of before, for which Amazon did not send, is no complaint of this mail: it counted towards the pause', async () => {
    const mail = await sent();
    const complaint = {
      complainedRecipients: [{ emailAddress: mail.email }],
      complaintSubType: 'OnAccountSuppressionList',
      complaintFeedbackType: null,
    };
    const about = { destination: [mail.email], tags: { wellspring: [mail.tag] } };
    await receive(message({ Message: JSON.stringify({ eventType: 'Complaint', complaint, mail: about }) }));
    expect(await statusOf(mail)).toBe('bounced');
    expect(await t.app.get(BouncesService, { strict: false }).list({ limit: 1 })).toMatchObject([
      { verdict: 'hard', reason: 'provider_suppressed' },
    ]);
  });

  it('confirms a subscription to its own topic at Amazon and nowhere else', async () => {
    const subscription = (SubscribeURL: string, change: object = {}) =>
      message({ Type: 'SubscriptionConfirmation', Token: 'abc', SubscribeURL, ...change });
    const genuine = `https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=abc`;
    asked.length = 0;
    await receive(subscription(genuine));
    expect(asked).toContain(genuine);
    asked.length = 0;
    for (const raw of [
      subscription('https://example.com/?Action=ConfirmSubscription'),
      subscription('https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic'),
      subscription(genuine, { TopicArn: `${TOPIC}-of-somebody-else` }),
    ]) {
      await expect(receive(raw)).rejects.toMatchObject({ code: 'HOOK_FORBIDDEN' });
    }
    expect(asked.filter((url) => !url.endsWith('.pem'))).toEqual([]);
  });

  it('reads the text/plain that Amazon posts, and refuses it unsigned', async () => {
    const raw = message({ Message: '{}', SigningCertURL: 'https://example.com/a.pem' }).toString();
    const answer = await t.http
      .post('/api/public/hooks/ses')
      .set('Content-Type', 'text/plain; charset=UTF-8')
      .send(raw);
    expect(answer.status).toBe(403);
    const none = await t.http.post('/api/public/hooks/ses').set('Content-Type', 'text/plain').send('hello');
    expect(none.status).toBe(422);
  });
});
