import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  BounceSmtpServer,
  MAX_CLIENTS_PER_ADDRESS,
  MAX_MAIL_BYTES,
  MAX_RECIPIENTS,
} from '../../../src/bounces/bounce-smtp.server.js';
import { unsubscribeAddress, verpAddress } from '../../../src/delivery/mails/verp.js';
import { signIds } from '../../../src/values/signed-token.js';
import { heldBytes } from '../../support/held-bytes.js';
import { deliver, openSmtpClient, type SmtpClient } from '../../support/smtp-client.js';
import { report } from '../../support/returned-mails.js';
import { REPORTER, signedByExampleOrg } from '../../support/signed-reports.js';
import { BOUNCE_DOMAIN, openBounceOffice, type BounceOffice } from './bounce-office.js';
import { returnedMail } from './returned-mail.js';

const MB = 1024 * 1024;

describe('the SMTP listener for the bounce domain', () => {
  let office: BounceOffice;
  let listener: BounceSmtpServer;
  let port: number;

  beforeAll(async () => {
    office = await openBounceOffice({ CFBL_ADDRESS: `Complaints@${BOUNCE_DOMAIN}` });
    listener = office.app.get(BounceSmtpServer, { strict: false });
    port = await listener.listen(0, '127.0.0.1');
  });
  afterAll(async () => {
    await listener.close();
    await office.close();
  });

  /** Sends a mail for real; its return path and bytes as the relay got them. */
  async function sentFor(email: string): Promise<{ from: string; raw: string }> {
    await office.plan(email, { dedupeKey: `listener:${email}` });
    await office.sendDue();
    const mail = office.sink.mails.findLast(({ to }) => to.includes(email));
    if (!mail) throw new Error('the mail was not sent');
    return mail;
  }

  /** The server that puts a mail into its mailbox writes down where it came from (RFC 5321 §4.4). */
  const delivered = ({ from, raw }: { from: string; raw: string }): string =>
    `Return-Path: <${from}>\n${raw}`;

  it('a report that another server delivers to the return path gives up a dead address', async () => {
    const mail = await sentFor('dead@example.org');
    expect(mail.from).toMatch(new RegExp(`^b\\+[a-z2-7]+@${BOUNCE_DOMAIN.replaceAll('.', '\\.')}$`));
    const said = await deliver(port, mail.from, returnedMail(mail.raw, '5.1.1', '550 5.1.1 no such user'));
    expect(said).toMatch(/^250 /);
    expect(await office.suppressed('dead@example.org')).toEqual(['all hard_bounce']);
  });

  it('a report that a stranger brought to the server in front gives up nobody', async () => {
    const mail = await sentFor('front@example.org');
    const notice = returnedMail(mail.raw, '5.1.1', '550 5.1.1 no such user');
    const path = 'Received: from mx.example.org (unknown [203.0.113.9]) by mail.example.com with ESMTP\n';
    expect(await deliver(port, mail.from, path + notice)).toMatch(/^250 /);
    expect(await office.status('front@example.org')).toBe('active');
    expect(await office.suppressed('front@example.org')).toEqual([]);
  });

  it('the return path is understood in capitals, and with no original in the report', async () => {
    const mail = await sentFor('shouted@example.org');
    const notice = report({
      words: '',
      fields:
        'Final-Recipient: rfc822; other@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 unknown user',
    });
    expect(await deliver(port, mail.from.toUpperCase(), notice)).toMatch(/^250 /);
    expect(await office.suppressed('shouted@example.org')).toEqual(['all hard_bounce']);
  });

  it('a full mailbox is counted, and a refusal because of the sender tells the owner', async () => {
    const full = await sentFor('full@example.org');
    await deliver(port, full.from, returnedMail(full.raw, '5.2.2', '552 5.2.2 mailbox full'));
    const ours = await sentFor('fine@example.org');
    await deliver(port, ours.from, returnedMail(ours.raw, '5.7.26', '550 5.7.26 SPF and DKIM did not pass'));
    expect(await office.status('full@example.org')).toBe('active');
    expect(await office.status('fine@example.org')).toBe('active');
    const rows = await office.bounces.list({ limit: 2 });
    expect(rows.map(({ verdict, source, trusted }) => [verdict, source, trusted])).toEqual([
      ['sender', 'smtp', true],
      ['soft', 'smtp', true],
    ]);
    expect(await office.alertKeys()).toContain('bounces:sender:example.com:auth_failure');
  });

  it.each([
    ['a forged token', () => verpAddress(Buffer.alloc(32, 9), '1', BOUNCE_DOMAIN)],
    ['letters that are no token', () => `b+${'a'.repeat(39)}@${BOUNCE_DOMAIN}`],
    [
      'an unsubscribe address with a forged token, which was taken,',
      () => unsubscribeAddress(signIds(Buffer.alloc(32, 9), 'unsubscribe', ['1', '1']), BOUNCE_DOMAIN),
    ],
    ['no token', () => `somebody@${BOUNCE_DOMAIN}`],
    ['another domain', () => 'postmaster@example.org'],
    ['nobody', () => ''],
  ])('%s is refused at RCPT and changes nothing', async (_, to) => {
    const before = await office.bounces.list({ limit: 200 });
    expect(await deliver(port, to(), report({ words: '', fields: '' }))).toMatch(/^5[05][01] /);
    expect(await office.bounces.list({ limit: 200 })).toEqual(before);
  });

  it('a genuine token for a mail that never was is taken and changes nothing', async () => {
    const said = await deliver(
      port,
      verpAddress((office.config.secretKey ?? Buffer.alloc(0)) as Buffer, '987654321', BOUNCE_DOMAIN),
      report({
        words: '',
        fields: 'Final-Recipient: rfc822; full@example.org\nAction: failed\nStatus: 5.1.1',
      }),
    );
    expect(said).toMatch(/^250 /);
    expect(await office.status('full@example.org')).toBe('active');
  });

  it('who leaves by a mail that a restored backup does not know is told to answer it: they were told that it was taken', async () => {
    const secret = (office.config.secretKey ?? Buffer.alloc(0)) as Buffer;
    const lost = unsubscribeAddress(
      signIds(secret, 'unsubscribe', ['987654321', '987654322']),
      BOUNCE_DOMAIN,
    );
    const said = await deliver(port, lost, 'From: ada@example.net\nSubject: unsubscribe\n\n');
    expect(said).toMatch(/^550 5\.1\.1 .*please answer that mail to leave/);
  });

  it('the postmaster is there without a domain, too', async () => {
    expect(await deliver(port, 'Postmaster', 'From: eve@example.net\n\nhello')).toMatch(/^250 /);
  });

  it('the postmaster is there, and a report to it proves nothing', async () => {
    const said = await deliver(
      port,
      `Postmaster@${BOUNCE_DOMAIN}`,
      report({
        words: '',
        fields: 'Final-Recipient: rfc822; full@example.org\nAction: failed\nStatus: 5.1.1',
      }),
    );
    expect(said).toMatch(/^250 /);
    expect(await office.status('full@example.org')).toBe('active');
  });

  it.each(['complaints', 'FBL', 'abuse'])(
    'a complaint to %s@, where providers are told to send them, is counted and not refused as nobody’s',
    async (to) => {
      const email = `${to}.reader@example.org`;
      const raw = delivered(await sentFor(email));
      const arf = `From: ${REPORTER}\nTo: ${to}@${BOUNCE_DOMAIN}\nSubject: FW: Tips\nContent-Type: multipart/report; report-type=feedback-report; boundary="=b"\n\n--=b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: Example/1\nVersion: 1\n\n--=b\nContent-Type: message/rfc822\n\n${raw}\n--=b--\n`;
      const signed = (await signedByExampleOrg(arf, office.clock.now())).toString();
      expect(await deliver(port, `${to}@${BOUNCE_DOMAIN}`, signed)).toMatch(/^250 /);
      expect(await office.status(email)).toBe('complained');
    },
  );

  it('a complaint that knows of a mail what an answer to it quotes ends no receipts', async () => {
    const email = 'quoted.reader@example.org';
    const { raw } = await sentFor(email);
    const arf = `From: eve@example.net\nContent-Type: multipart/report; report-type=feedback-report; boundary="=b"\n\n--=b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n\n--=b\nContent-Type: message/rfc822\n\n${raw}\n--=b--\n`;
    expect(await deliver(port, `fbl@${BOUNCE_DOMAIN}`, arf)).toMatch(/^250 /);
    expect(await office.status(email)).toBe('unsubscribed');
    expect(await office.suppressed(email)).toEqual(['marketing unsubscribed']);
  });

  it('complaints that a provider gathers in one mail all count: only the first did', async () => {
    const readers = ['gathered.a@example.org', 'gathered.b@example.org', 'gathered.c@example.org'];
    const parts: string[] = [];
    for (const email of readers) {
      const raw = delivered(await sentFor(email));
      parts.push(
        `Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: Example/1\nVersion: 1\n`,
      );
      parts.push(`Content-Type: message/rfc822\n\n${raw}`);
    }
    const arf = `From: ${REPORTER}\nTo: fbl@${BOUNCE_DOMAIN}\nSubject: FW: Tips\nContent-Type: multipart/report; report-type=feedback-report; boundary="=b"\n\n${parts.map((part) => `--=b\n${part}\n`).join('')}--=b--\n`;
    const signed = (await signedByExampleOrg(arf, office.clock.now())).toString();
    expect(await deliver(port, `fbl@${BOUNCE_DOMAIN}`, signed)).toMatch(/^250 /);
    for (const email of readers) expect(await office.status(email)).toBe('complained');
  });

  it('a hostile mail to a genuine return path is taken without harm', async () => {
    const { from } = await sentFor('calm@example.org');
    const nested = Array.from(
      { length: 2_000 },
      (_, at) => `--b${at}\nContent-Type: multipart/mixed; boundary=b${at + 1}\n\n`,
    );
    for (const mail of [
      `Content-Type: multipart/report; boundary=b0\n\n${nested.join('')}`,
      `${'Content-Type: message/rfc822\n\n'.repeat(2_000)}`,
      `From: MAILER-DAEMON\n\n${'x'.repeat(2_000_000)}`,
      '\u0000'.repeat(10_000),
    ]) {
      expect(await deliver(port, from, mail)).toMatch(/^250 /);
    }
    expect(await office.status('calm@example.org')).toBe('active');
  });

  it('a size that is said is refused before the mail', async () => {
    const client = await openSmtpClient(port);
    const hello = await client.say('EHLO mx.example.net');
    expect(hello).toContain(`SIZE ${MAX_MAIL_BYTES}`);
    expect(await client.say(`MAIL FROM:<> SIZE=${50 * MB}`)).toMatch(/^552 /);
    client.close();
  });

  it('a mail of 50 MB is not listened to until its end, and not kept in memory', async () => {
    const { from } = await sentFor('large@example.org');
    const client = await openSmtpClient(port);
    await client.say('EHLO mx.example.net');
    await client.say('MAIL FROM:<>');
    await client.say(`RCPT TO:<${from}>`);
    await client.say('DATA');
    const before = heldBytes();
    const chunk = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(64));
    let poured = 0;
    while (poured < 9 * MB && (await client.pour(chunk))) poured += chunk.length;
    // All of it was taken so far, and most of it let go.
    expect(poured).toBeGreaterThan(8 * MB);
    expect(heldBytes() - before).toBeLessThan(4 * MB);
    while (poured < 50 * MB && (await client.pour(chunk))) poured += chunk.length;
    expect(poured).toBeLessThan(25 * MB);
    expect(['552', 'closed'.slice(0, 3)]).toContain((await client.reply()).slice(0, 3));
    expect(await office.status('large@example.org')).toBe('active');
    // The next one is served as ever.
    expect(await deliver(port, from, 'From: MAILER-DAEMON\n\nhello')).toMatch(/^250 /);
  });

  it('a mail may go to so many of our addresses and no more', async () => {
    const { secretKey } = office.config;
    const client = await openSmtpClient(port);
    await client.say('EHLO mx.example.net');
    await client.say('MAIL FROM:<>');
    for (let id = 1; id <= MAX_RECIPIENTS; id++)
      expect(
        await client.say(`RCPT TO:<${verpAddress(secretKey as Buffer, String(id), BOUNCE_DOMAIN)}>`),
      ).toMatch(/^250 /);
    expect(await client.say(`RCPT TO:<postmaster@${BOUNCE_DOMAIN}>`)).toMatch(/^452 /);
    client.close();
  });

  it('one address gets so many connections and no more', async () => {
    const other = new BounceSmtpServer(office.intake);
    const otherPort = await other.listen(0, '127.0.0.1');
    const clients: SmtpClient[] = [];
    for (let count = 0; count < MAX_CLIENTS_PER_ADDRESS; count++)
      clients.push(await openSmtpClient(otherPort));
    expect(clients.every(({ greeting }) => greeting.startsWith('220'))).toBe(true);
    const last = await openSmtpClient(otherPort);
    expect(last.greeting).toMatch(/^421 /);
    for (const client of [...clients, last]) client.close();
    await other.close();
  });

  it('offers STARTTLS with a certificate, and not without', async () => {
    const plain = await openSmtpClient(port);
    expect(await plain.say('EHLO mx.example.net')).not.toContain('STARTTLS');
    plain.close();
    const secured = new BounceSmtpServer(office.intake);
    const tlsPort = await secured.listen(0, '127.0.0.1', certificate());
    const { from, raw } = await sentFor('secret@example.org');
    const client = await openSmtpClient(tlsPort);
    expect(await client.say('EHLO mx.example.net')).toContain('STARTTLS');
    expect(await client.say('STARTTLS')).toMatch(/^220 /);
    await client.startTls();
    await client.say('EHLO mx.example.net');
    await client.say('MAIL FROM:<>');
    await client.say(`RCPT TO:<${from}>`);
    await client.say('DATA');
    const mail = returnedMail(raw, '5.1.1', '550 5.1.1 no such user').replace(/\r?\n/g, '\r\n');
    expect(await client.say(`${mail.replace(/^\./gm, '..')}\r\n.`)).toMatch(/^250 /);
    client.close();
    await secured.close();
    expect(await office.suppressed('secret@example.org')).toEqual(['all hard_bounce']);
  });

  it('does not start with a certificate that is none', async () => {
    const files = { certFile: fixture('test-key.pem'), keyFile: fixture('nowhere.pem') };
    await expect(new BounceSmtpServer(office.intake).listen(0, '127.0.0.1', files)).rejects.toMatchObject({
      code: 'BOUNCE_TLS_INVALID',
    });
  });
});

const fixture = (name: string): string => new URL(`../../fixtures/${name}`, import.meta.url).pathname;

function certificate(): { certFile: string; keyFile: string } {
  return { certFile: fixture('test-certificate.pem'), keyFile: fixture('test-key.pem') };
}
