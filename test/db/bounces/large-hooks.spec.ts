import { createHmac, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';
import { MAILGUN_KEY, POSTMARK_SECRET, PROVIDER_VARIABLES, SENDGRID } from './provider-keys.js';
import { sentMails, type Sent, type SentMails } from './sent-mails.js';

describe('calls of providers that are large, deep or garbled', () => {
  let t: TestApp;
  let sent: SentMails['sent'];
  let statusOf: SentMails['statusOf'];
  let counted: SentMails['counted'];
  beforeAll(async () => {
    t = await startTestApp({ variables: PROVIDER_VARIABLES });
    ({ sent, statusOf, counted } = sentMails(t));
  });
  afterAll(async () => t.close());

  const post = async (body: string | Buffer, headers: Record<string, string> = {}) => {
    const at = String(Math.floor(t.clock.now().getTime() / 1000));
    const request = t.http
      .post('/api/public/hooks/sendgrid')
      .set('Content-Type', 'application/json')
      .set('X-Twilio-Email-Event-Webhook-Timestamp', at)
      .set(
        'X-Twilio-Email-Event-Webhook-Signature',
        sign('sha256', Buffer.concat([Buffer.from(at), Buffer.from(body)]), SENDGRID.privateKey).toString(
          'base64',
        ),
      );
    for (const [name, value] of Object.entries(headers)) request.set(name, value);
    request.serialize((given) => given as string);
    return request.send(body);
  };
  const bounce = (mail: Sent) => ({
    ...{ email: mail.email, event: 'bounce', type: 'bounce', status: '5.1.1', wellspring: mail.tag },
    reason: `550 5.1.1 <${mail.email}>: no such user`,
  });
  const arrived = (mail: Sent, by: 'tag' | 'header' = 'tag') => ({
    ...{ email: mail.email, event: 'delivered', response: '250 ok' },
    ...(by === 'tag' ? { wellspring: mail.tag } : { 'smtp-id': mail.messageId }),
  });

  it('of thousands of mails that arrived each is asked for at once, and one that was unclear is clear then', async () => {
    const mails: Sent[] = [];
    for (let count = 0; count < 5; count++) mails.push(await sent());
    const [unclear, other, dead] = [await sent(), await sent(), await sent()];
    await t.dataSource.query(`update message set state = 'unknown' where id = any($1::bigint[])`, [
      [unclear.id, other.id],
    ]);
    const events = Array.from({ length: 2_500 }, (_, at) =>
      arrived(mails[at % mails.length] as Sent, at % 2 === 0 ? 'tag' : 'header'),
    );
    events.splice(1_000, 0, arrived(unclear));
    events.splice(2_000, 0, arrived(other, 'header'));
    const transactions = vi.spyOn(t.dataSource, 'transaction');
    const answer = await post(JSON.stringify([...events, bounce(dead)]));
    const count = transactions.mock.calls.length;
    transactions.mockRestore();
    expect(answer.status).toBe(200);
    // Each was one for itself, which took ten seconds.
    expect(count).toBe(3);
    const states: { state: string }[] = await t.dataSource.query(
      'select state from message where id = any($1::bigint[])',
      [[unclear.id, other.id]],
    );
    expect(states.map(({ state }) => state)).toEqual(['accepted', 'accepted']);
    expect(await statusOf(dead)).toBe('bounced');
  });

  it('of many bounces in one call all count, and once when it is sent again', async () => {
    const mails: Sent[] = [];
    for (let count = 0; count < 60; count++) mails.push(await sent());
    const body = JSON.stringify(mails.map(bounce));
    expect((await post(body)).status).toBe(200);
    expect((await post(body)).status).toBe(200);
    expect(new Set(await Promise.all(mails.map(statusOf)))).toEqual(new Set(['bounced']));
    expect(await counted(mails[59] as Sent)).toBe(1);
  });

  it('a call beyond what may be in one is refused whole', async () => {
    const mail = await sent();
    const many = `[${JSON.stringify(bounce(mail))}${',{}'.repeat(10_000)}]`;
    expect((await post(many)).status).toBe(422);
    expect((await post(`[${JSON.stringify(bounce(mail))}${' '.repeat(1_100_000)}]`)).status).toBe(413);
    expect([await statusOf(mail), await counted(mail)]).toEqual(['active', 0]);
  });

  it('what is nested 10,000 deep is read past, wherever it stands', async () => {
    const mail = await sent();
    const deep = `${'{"a":['.repeat(5_000)}1${']}'.repeat(5_000)}`;
    const one = JSON.stringify(bounce(mail)).replace(/\}$/, `,"pad":${deep}}`);
    expect((await post(`[${deep},${one}]`)).status).toBe(200);
    expect(await statusOf(mail)).toBe('bounced');
    expect((await post(deep)).status).toBe(422);

    const timestamp = String(Math.floor(t.clock.now().getTime() / 1000));
    const signature = createHmac('sha256', MAILGUN_KEY).update(`${timestamp}deep`).digest('hex');
    const given = `{"signature":{"timestamp":"${timestamp}","token":"deep","signature":"${signature}"},"event-data":{"event":"opened","user-variables":${deep}}}`;
    const mailgun = t.http.post('/api/public/hooks/mailgun').set('Content-Type', 'application/json');
    expect((await mailgun.send(given)).status).toBe(200);
    const postmark = t.http.post('/api/public/hooks/postmark').auth('hooks', POSTMARK_SECRET);
    const event = `{"RecordType":"Open","Metadata":${deep}}`;
    expect((await postmark.set('Content-Type', 'application/json').send(event)).status).toBe(200);
  });

  it.each<[string, (body: string) => string | Buffer, Record<string, string>]>([
    ['gzipped, though it says so', (body) => gzipSync(body), { 'Content-Encoding': 'gzip' }],
    ['gzipped without a word', (body) => gzipSync(body), {}],
    [
      'in UTF-16',
      (body) => Buffer.from(body, 'utf16le'),
      { 'Content-Type': 'application/json; charset=utf-16' },
    ],
    ['of octets that are no text', () => Buffer.alloc(5_000, 0xff), {}],
    [
      'a form',
      (body) => `events=${encodeURIComponent(body)}`,
      { 'Content-Type': 'application/x-www-form-urlencoded' },
    ],
    ['plain text', (body) => body, { 'Content-Type': 'text/plain' }],
    ['XML', () => '<events/>', { 'Content-Type': 'application/xml' }],
    ['empty', () => '', {}],
    ['half of it', (body) => body.slice(0, -5), {}],
    ['null', () => 'null', {}],
  ])(
    'a signed call whose body is %s is refused as the sender’s mistake, and changes nothing',
    async (_, garble, headers) => {
      const mail = await sent();
      const answer = await post(garble(JSON.stringify([bounce(mail)])), headers);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect([await statusOf(mail), await counted(mail)]).toEqual(['active', 0]);
    },
  );
});
