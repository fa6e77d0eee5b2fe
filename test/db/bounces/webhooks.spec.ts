import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BouncesService } from '../../../src/bounces/bounces.service.js';
import { HooksService } from '../../../src/bounces/hooks.service.js';
import { SnsVerifier } from '../../../src/bounces/sns-verifier.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { RateLimits } from '../../../src/infra/rate-limits/rate-limits.service.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { MAILGUN_KEY, POSTMARK_SECRET, PROVIDER_VARIABLES, SENDGRID } from './provider-keys.js';
import { sentMails, type Sent, type SentMails } from './sent-mails.js';

describe('webhooks of mail providers', () => {
  let t: TestApp;
  let config: Config;
  let sent: SentMails['sent'];
  let statusOf: SentMails['statusOf'];
  let counted: SentMails['counted'];

  beforeAll(async () => {
    t = await startTestApp({ variables: PROVIDER_VARIABLES });
    config = t.app.get<Config>(CONFIG, { strict: false });
    ({ sent, statusOf, counted } = sentMails(t));
  });
  afterAll(async () => t.close());

  const suppressed = async ({ email }: Sent): Promise<string[]> =>
    (await t.app.get(SuppressionsService, { strict: false }).of(email)).map(
      ({ scope, reason }) => `${scope} ${reason}`,
    );
  const seconds = (shiftMs = 0): string => String(Math.floor((t.clock.now().getTime() + shiftMs) / 1000));

  describe('SendGrid', () => {
    const post = async (
      events: unknown,
      { at = seconds(), key = SENDGRID.privateKey, sent: body = JSON.stringify(events) } = {},
    ) =>
      t.http
        .post('/api/public/hooks/sendgrid')
        .set('Content-Type', 'application/json')
        .set('X-Twilio-Email-Event-Webhook-Timestamp', at)
        .set(
          'X-Twilio-Email-Event-Webhook-Signature',
          sign('sha256', Buffer.from(at + JSON.stringify(events)), key).toString('base64'),
        )
        .send(body);
    const bounce = (mail: Sent, more: object = {}) => ({
      email: mail.email,
      event: 'bounce',
      type: 'bounce',
      status: '5.1.1',
      reason: `550 5.1.1 <${mail.email}>: no such user`,
      wellspring: mail.tag,
      ...more,
    });

    it('takes a batch of events, each by its tag or by our Message-ID', async () => {
      const [dead, angry, full, blocked, fine] = [
        await sent(),
        await sent(),
        await sent(),
        await sent(),
        await sent(),
      ];
      const answer = await post([
        bounce(dead),
        { email: angry.email, event: 'spamreport', 'smtp-id': angry.messageId },
        bounce(full, { status: '5.2.2', reason: '552 5.2.2 mailbox full' }),
        bounce(blocked, { type: 'blocked', status: '5.7.1', reason: '554 5.7.1 blocked using a block list' }),
        { email: fine.email, event: 'delivered', 'smtp-id': fine.messageId, response: '250 ok' },
        { event: 'something new', email: fine.email },
        'not even an object',
      ]);
      expect(answer.status).toBe(200);
      expect(await Promise.all([dead, angry, full, blocked, fine].map(statusOf))).toEqual([
        'bounced',
        'complained',
        'active',
        'active',
        'active',
      ]);
      expect([await counted(full), await counted(blocked)]).toEqual([1, 1]);
    });

    it('counts a repeated batch once', async () => {
      const mail = await sent();
      const events = [bounce(mail), bounce(mail)];
      expect((await post(events)).status).toBe(200);
      expect((await Promise.all([post(events), post(events)])).map(({ status }) => status)).toEqual([
        200, 200,
      ]);
      expect(await counted(mail)).toBe(1);
    });

    it('refuses what is unsigned, signed by another, changed or old', async () => {
      const mail = await sent();
      const events = [bounce(mail)];
      const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
      const answers = [
        await post(events, { key: other }),
        await post(events, { sent: JSON.stringify([bounce(mail, { status: '5.1.2' })]) }),
        await post(events, { at: seconds(-25 * 3_600_000 - 1000) }),
        await post(events, { at: seconds(301_000) }),
        await post(events, { at: 'now' }),
        await t.http.post('/api/public/hooks/sendgrid').send(events),
      ];
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 403));
      expect([await statusOf(mail), await counted(mail)]).toEqual(['active', 0]);
    });

    it('counts what happened while we were down for most of a day', async () => {
      const mail = await sent();
      expect((await post([bounce(mail)], { at: seconds(-24 * 3_600_000) })).status).toBe(200);
      expect(await statusOf(mail)).toBe('bounced');
      // A copy of it on the next day is the same event.
      const [full, at] = [await sent(), seconds()];
      for (let day = 0; day < 2; day++) {
        expect((await post([bounce(full, { status: '5.2.2', reason: '552 full' })], { at })).status).toBe(
          200,
        );
        t.clock.advance(24 * 3_600_000);
      }
      expect(await counted(full)).toBe(1);
    });

    it('a signed event about a mail that is not ours changes nothing', async () => {
      const mail = await sent();
      const answer = await post([
        bounce(mail, { wellspring: 'a'.repeat(39) }),
        bounce(mail, { wellspring: undefined, 'smtp-id': `<${'a'.repeat(26)}@example.com>` }),
      ]);
      expect(answer.status).toBe(200);
      expect(await statusOf(mail)).toBe('active');
    });
  });

  describe('Postmark', () => {
    const post = async (body: object, secret: string | null = POSTMARK_SECRET) => {
      const request = t.http.post('/api/public/hooks/postmark').set('Content-Type', 'application/json');
      return (secret === null ? request : request.auth('hooks', secret)).send(body);
    };
    const bounce = (mail: Sent, more: object = {}) => ({
      RecordType: 'Bounce',
      Type: 'HardBounce',
      Email: mail.email,
      Details: `smtp;550 5.1.1 <${mail.email}> user unknown`,
      Metadata: { wellspring: mail.tag },
      ...more,
    });

    it('takes bounces, complaints and what people turned off', async () => {
      const [dead, angry, left, full] = [await sent(), await sent(), await sent(), await sent()];
      const events = [
        bounce(dead),
        { RecordType: 'SpamComplaint', Email: angry.email, Metadata: { wellspring: angry.tag } },
        {
          RecordType: 'SubscriptionChange',
          Recipient: left.email,
          SuppressSending: true,
          SuppressionReason: 'ManualSuppression',
          Metadata: { wellspring: left.tag },
        },
        bounce(full, { Type: 'SoftBounce', Details: 'smtp;552 5.2.2 mailbox full' }),
      ];
      for (const event of events) expect((await post(event)).status).toBe(200);
      expect(await Promise.all([dead, angry, left, full].map(statusOf))).toEqual([
        'bounced',
        'complained',
        'unsubscribed',
        'active',
      ]);
      // Receipts still go, and a new consent is enough to come back: they have left, and complained of nothing.
      expect([await suppressed(angry), await suppressed(left)]).toEqual([
        ['all complaint'],
        ['marketing unsubscribed'],
      ]);
      await post(bounce(dead));
      expect([await counted(dead), await counted(full)]).toEqual([1, 1]);
    });

    it('a call that is repeated on another day ended a reader who had confirmed anew since', async () => {
      const mail = await sent();
      const left = {
        RecordType: 'SubscriptionChange',
        Recipient: mail.email,
        SuppressSending: true,
        SuppressionReason: 'ManualSuppression',
        ChangedAt: t.clock.now().toISOString(),
        Metadata: { wellspring: mail.tag },
      };
      expect((await post(left)).status).toBe(200);
      expect(await statusOf(mail)).toBe('unsubscribed');
      await t.dataSource.query(`update subscriber set status = 'active' where email = $1`, [mail.email]);
      t.clock.advance(24 * 3_600_000);
      expect((await post(left)).status).toBe(200);
      expect(await statusOf(mail)).toBe('active');
      const again = { ...left, ChangedAt: t.clock.now().toISOString() };
      expect((await post(again)).status).toBe(200);
      expect(await statusOf(mail)).toBe('unsubscribed');
    });

    it('a mail that Postmark calls delivered is none that came back: one row was kept of each', async () => {
      const [taken, unclear] = [await sent(), await sent()];
      await t.dataSource.query(
        `update message set state = 'unknown', unknown_count = 1, accepted_at = null where id = $1`,
        [unclear.id],
      );
      for (const { email, tag } of [taken, unclear]) {
        const event = { RecordType: 'Delivery', Recipient: email, Metadata: { wellspring: tag } };
        expect((await post(event)).status).toBe(200);
      }
      expect([await counted(taken), await counted(unclear)]).toEqual([0, 0]);
      const rows: unknown[] = await t.dataSource.query(
        'select state from message where id = any($1::bigint[])',
        [[taken.id, unclear.id]],
      );
      expect(rows).toEqual([{ state: 'accepted' }, { state: 'accepted' }]);
    });

    it('refuses a call without the secret', async () => {
      const mail = await sent();
      for (const secret of [null, '', 'wrong-secret-of-length']) {
        expect((await post(bounce(mail), secret)).status).toBe(403);
      }
      expect([await statusOf(mail), await counted(mail)]).toEqual(['active', 0]);
    });
  });

  describe('Mailgun', () => {
    const signature = ({
      at = seconds(),
      key = MAILGUN_KEY,
      token = randomBytes(25).toString('hex'),
    } = {}) => ({
      timestamp: at,
      token,
      signature: createHmac('sha256', key)
        .update(at + token)
        .digest('hex'),
    });
    const failed = (mail: Sent, more: object = {}) => ({
      event: 'failed',
      severity: 'permanent',
      reason: 'bounce',
      recipient: mail.email,
      'delivery-status': {
        code: 550,
        message: `5.1.1 <${mail.email}> no such user`,
        'enhanced-code': '5.1.1',
      },
      'user-variables': { wellspring: mail.tag },
      ...more,
    });
    const post = async (event: object, signed: object = signature()) =>
      t.http.post('/api/public/hooks/mailgun').send({ signature: signed, 'event-data': event });

    it('takes failures and complaints, by the tag or by our Message-ID', async () => {
      const [dead, angry, later] = [await sent(), await sent(), await sent()];
      expect((await post(failed(dead))).status).toBe(200);
      const complaint = {
        event: 'complained',
        recipient: angry.email,
        message: { headers: { 'message-id': angry.messageId.slice(1, -1) } },
      };
      expect((await post(complaint)).status).toBe(200);
      expect((await post(failed(later, { severity: 'temporary' }))).status).toBe(200);
      expect(await Promise.all([dead, angry, later].map(statusOf))).toEqual([
        'bounced',
        'complained',
        'active',
      ]);
      await post(failed(dead));
      expect(await counted(dead)).toBe(1);
    });

    it('refuses a wrong, an old and a used signature', async () => {
      const [first, mail] = [await sent(), await sent()];
      const used = signature();
      expect((await post(failed(first), used)).status).toBe(200);
      const answers = [
        await post(failed(mail), used),
        await post(failed(mail), signature({ key: 'another key' })),
        await post(failed(mail), signature({ at: seconds(-9 * 3_600_000 - 1000) })),
        await post(failed(mail), { ...signature(), signature: '' }),
      ];
      expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
      expect(
        (await t.http.post('/api/public/hooks/mailgun').send({ 'event-data': failed(mail) })).status,
      ).toBe(422);
      expect([await statusOf(mail), await counted(mail)]).toEqual(['active', 0]);
    });

    it('a call whose answer was lost was refused, and so tried for eight hours', async () => {
      const [mail, other] = [await sent(), await sent()];
      const signed = signature();
      for (let call = 0; call < 3; call++) expect((await post(failed(mail), signed)).status).toBe(200);
      expect(await counted(mail)).toBe(1);
      expect((await post(failed(other), signed)).status).toBe(403);
      expect(await counted(other)).toBe(0);
    });

    it('hears a call again that could not be counted', async () => {
      const mail = await sent();
      const signed = signature();
      await t.dataSource.query('alter table bounce rename to bounce_away');
      const failedCall = await post(failed(mail), signed);
      await t.dataSource.query('alter table bounce_away rename to bounce');
      expect(failedCall.status).toBe(500);
      // Mailgun tries for eight hours; a process that died in the middle would have left the token as spent as this.
      expect(
        await t.dataSource.query(`select 1 from rate_limit where key = $1`, [
          `mailgun-token:${signed.token}`,
        ]),
      ).toEqual([]);
      t.clock.advance(8 * 3_600_000);
      expect((await post(failed(mail), signed)).status).toBe(200);
      expect(await statusOf(mail)).toBe('bounced');
      // Nor is the token good again once its use is an hour ago.
      t.clock.advance(1_800_000);
      const other = await sent();
      expect((await post(failed(other), signed)).status).toBe(403);
    });
  });

  it('a provider without a key in the settings has no address', async () => {
    const bare = new HooksService(
      t.app.get(BouncesService, { strict: false }),
      new SnsVerifier(),
      t.app.get(RateLimits, { strict: false }),
      t.app.get(AlertsService, { strict: false }),
      {
        ...config,
        sesTopicArn: null,
        sendgridWebhookKey: null,
        postmarkWebhookSecret: null,
        mailgunWebhookKey: null,
      },
      t.clock,
    );
    for (const provider of ['ses', 'sendgrid', 'postmark', 'mailgun'] as const) {
      const call = { raw: Buffer.from('{}'), body: {}, header: () => '' };
      await expect(bare.receive(provider, call)).rejects.toMatchObject({ code: 'HOOK_NOT_FOUND' });
    }
    expect((await t.http.post('/api/public/hooks/other').send({})).status).toBe(422);
  });
});
