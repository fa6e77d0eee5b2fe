import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  BounceSmtpServer,
  CONVERSATION_MS,
  MAX_CLIENTS,
  MAX_CLIENTS_PER_ADDRESS,
} from '../../../src/bounces/bounce-smtp.server.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { deliver, openSmtpClient, type SmtpClient } from '../../support/smtp-client.js';
import { waits, type Waits } from '../../support/waits.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';
import { returnedMail } from './returned-mail.js';

describe('those who only hold a connection to the bounce domain', () => {
  let office: BounceOffice;
  let listener: BounceSmtpServer;
  let port: number;
  let time: Waits;
  let clients: SmtpClient[];
  let secured: BounceSmtpServer | null = null;

  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());
  beforeEach(async () => {
    clients = [];
    time = waits();
    listener = new BounceSmtpServer(office.intake);
    port = await listener.listen(0, '127.0.0.1');
  });
  afterEach(async () => {
    time.end();
    await secured?.close();
    secured = null;
    for (const client of clients) client.close();
    await listener.close();
  });

  const open = async (from?: string): Promise<SmtpClient> => {
    const client = await openSmtpClient(port, from);
    clients.push(client);
    return client;
  };
  /** Another listener, which offers STARTTLS. */
  async function listenSecured(): Promise<void> {
    secured = new BounceSmtpServer(office.intake);
    port = await secured.listen(0, '127.0.0.1', {
      certFile: fixture('test-certificate.pem'),
      keyFile: fixture('test-key.pem'),
    });
  }
  const held = async (): Promise<number> => {
    const heard = await Promise.all(clients.map(async (client) => client.pour('')));
    return heard.filter(Boolean).length;
  };
  async function sentFor(email: string): Promise<{ from: string; report: string }> {
    await office.plan(email, { dedupeKey: `slow:${email}` });
    await office.sendDue();
    const mail = office.sink.mails.findLast(({ to }) => to.includes(email));
    if (!mail) throw new Error('the mail was not sent');
    return { from: mail.from, report: returnedMail(mail.raw, '5.1.1', '550 5.1.1 no such user') };
  }

  it.each([
    ['says one octet of a command now and then', ['EHLO mx.example.net'], 'NOO'],
    [
      'never ends its mail',
      ['EHLO mx.example.net', 'MAIL FROM:<>', 'RCPT TO', 'DATA'],
      'Subject: a\r\n\r\n.',
    ],
  ])('one that %s is hung up on after some minutes, and nothing of it counts', async (_, lines, octets) => {
    const { from, report } = await sentFor(`slow${lines.length}@example.org`);
    const client = await open();
    for (const line of lines)
      expect(await client.say(line === 'RCPT TO' ? `RCPT TO:<${from}>` : line)).toMatch(/^[23]\d\d/);
    if (lines.includes('DATA')) await client.pour(report.replace(/\r?\n/g, '\r\n'));
    for (const octet of octets) await client.pour(octet);
    expect(time.count(CONVERSATION_MS)).toBe(1);
    time.pass(CONVERSATION_MS);
    expect(await client.reply()).toBe('closed');
    expect(await office.status(`slow${lines.length}@example.org`)).toBe('active');
    expect(await deliver(port, from, report)).toMatch(/^250 /);
    expect(await office.status(`slow${lines.length}@example.org`)).toBe('bounced');
  });

  // Other systems have no more than one address of their own.
  it.skipIf(process.platform !== 'linux')(
    'hundreds of idle connections from many addresses keep no report out: every one was told to come later',
    async () => {
      const { from, report } = await sentFor('crowded@example.org');
      const crowd = async (round: number): Promise<void> => {
        const addresses = Array.from({ length: 15 }, (_, at) => `127.0.${round}.${at + 1}`);
        await Promise.all(
          addresses.flatMap((address) =>
            Array.from({ length: MAX_CLIENTS_PER_ADDRESS }, async () => open(address)),
          ),
        );
      };
      await crowd(1);
      await crowd(2);
      expect(await becomesTrue(async () => (await held()) <= MAX_CLIENTS, 20_000)).toBe(true);
      expect(await deliver(port, from, report, '127.0.9.9')).toMatch(/^250 /);
      expect(await office.status('crowded@example.org')).toBe('bounced');
    },
  );

  it.skipIf(process.platform !== 'linux')(
    'who brings a report is not the one that makes room for others',
    async () => {
      const { from, report } = await sentFor('early@example.org');
      const early = await open('127.0.9.9');
      await early.say('EHLO mx.example.net');
      await early.say('MAIL FROM:<>');
      expect(await early.say(`RCPT TO:<${from}>`)).toMatch(/^250 /);
      await Promise.all(Array.from({ length: MAX_CLIENTS + 5 }, async (__, at) => open(`127.0.3.${at + 1}`)));
      await early.say('DATA');
      expect(await early.say(`${report.replace(/\r?\n/g, '\r\n')}\r\n.`)).toMatch(/^250 /);
      expect(await office.status('early@example.org')).toBe('bounced');
    },
  );

  it('who goes on encrypted gives its place back: the eleventh of an address was turned away for ever', async () => {
    await listenSecured();
    for (let count = 0; count <= MAX_CLIENTS_PER_ADDRESS; count++) {
      const client = await open();
      expect(client.greeting).toMatch(/^220 /);
      await client.say('EHLO mx.example.net');
      expect(await client.say('STARTTLS')).toMatch(/^220 /);
      await client.startTls();
      expect(await client.say('QUIT')).toMatch(/^221 /);
      expect(await client.reply()).toBe('closed');
    }
  });

  it.skipIf(process.platform !== 'linux').each(['has begun to encrypt', 'is encrypted'])(
    'one that %s hears no plain words among its records when it makes room',
    async (state) => {
      await listenSecured();
      const raw = connect({ port, host: '127.0.0.1', localAddress: '127.0.5.1' });
      const failures: string[] = [];
      let heard = '';
      raw.on('error', () => undefined);
      raw.on('data', (chunk) => (heard += chunk.toString('latin1')));
      try {
        const ended = new Promise<void>((resolve) => raw.once('close', () => resolve()));
        await once(raw, 'data');
        raw.write('EHLO mx.example.net\r\n');
        await becomesTrue(async () => heard.includes('250 '), 20_000);
        raw.write('STARTTLS\r\n');
        await becomesTrue(async () => heard.includes('220 Ready'), 20_000);
        if (state === 'is encrypted') {
          const secure = connectTls({ socket: raw, rejectUnauthorized: false });
          secure.on('error', ({ message }) => failures.push(message));
          await once(secure, 'secureConnect');
        }
        await Promise.all(Array.from({ length: MAX_CLIENTS }, async (_, at) => open(`127.0.6.${at + 1}`)));
        await ended;
        expect(heard).not.toContain('421');
        expect(failures.filter((message) => message.includes('SSL'))).toEqual([]);
      } finally {
        raw.destroy();
      }
    },
  );
});

const fixture = (name: string): string => new URL(`../../fixtures/${name}`, import.meta.url).pathname;
