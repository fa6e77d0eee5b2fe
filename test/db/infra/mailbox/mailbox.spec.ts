import { connect } from 'node:net';
import { once } from 'node:events';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataSource } from '../../../../src/infra/database/migrate.js';
import { freePort } from '../../../../src/infra/free-port.js';
import { MailboxServer } from '../../../../src/infra/mailbox/mailbox.server.js';
import { MailboxService } from '../../../../src/infra/mailbox/mailbox.service.js';
import { FixedClock } from '../../../support/clock.js';
import { createTestDatabase, type TestDatabase } from '../../../support/database.js';

describe('the built-in mailbox', () => {
  let database: TestDatabase;
  let db: DataSource;
  let mailbox: MailboxService;
  let server: MailboxServer;
  let port: number;
  const clock = new FixedClock();
  beforeAll(async () => {
    database = await createTestDatabase();
    db = await openDataSource(database.url);
    mailbox = new MailboxService(db, clock);
    server = new MailboxServer(mailbox);
    port = await freePort();
    await server.listen(port);
  });
  afterAll(async () => {
    await server.close();
    await db.destroy();
    await database.drop();
  });

  /** Speaks SMTP line by line and answers with the reply to the body. */
  async function deliver(body: string): Promise<string> {
    const socket = connect(port, '127.0.0.1').setEncoding('utf8');
    const reply = async (): Promise<string> => String((await once(socket, 'data'))[0]);
    await reply();
    for (const line of [
      'HELO test.example',
      'MAIL FROM:<ada@example.com>',
      'RCPT TO:<rita@example.com>',
      'DATA',
    ]) {
      socket.write(`${line}\r\n`);
      await reply();
    }
    socket.write(`${body}\r\n.\r\n`);
    const last = await reply();
    socket.end('QUIT\r\n');
    return last;
  }

  it('greets at once: each connection of our own sender waited a tenth of a second', async () => {
    let quickestMs = Infinity;
    for (let n = 0; n < 10; n++) {
      const startMs = performance.now();
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'data');
      quickestMs = Math.min(quickestMs, performance.now() - startMs);
      socket.destroy();
    }
    expect(quickestMs).toBeLessThan(90);
  });

  it('keeps what came over SMTP, with the subject in plain words', async () => {
    const body = 'From: Ada <ada@example.com>\r\nSubject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello';
    expect(await deliver(body)).toMatch(/^250/);
    const [mail] = await mailbox.list({ limit: 1 });
    expect(mail).toMatchObject({
      subject: 'Grüße',
      to: 'rita@example.com',
      from: 'Ada <ada@example.com>',
      unread: true,
    });
    const opened = await mailbox.open(mail?.id ?? '');
    expect(opened).toMatchObject({ receivedAt: clock.now(), source: `${body}\r\n` });
    expect(opened?.text?.trim()).toBe('Hello');
    expect((await mailbox.list({ limit: 1 }))[0]?.unread).toBe(false);
  });

  it('keeps a mail without subject, and one with a NUL in its subject', async () => {
    expect(await deliver('From: ada@example.com\r\n\r\nx')).toMatch(/^250/);
    expect(await deliver('From: ada@example.com\r\nSubject: a\0b\r\n\r\nx')).toMatch(/^250/);
    expect((await mailbox.list({ limit: 2 })).map(({ subject }) => subject)).toEqual([
      expect.stringMatching(/^a.?b$/),
      '(no subject)',
    ]);
  });

  it('keeps a mail nobody can read', async () => {
    const nested = Array.from(
      { length: 400 },
      (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}`,
    ).join('\r\n');
    expect(await deliver(`Subject: deep\r\n${nested}`)).toMatch(/^250/);
  });

  it('drops the oldest mails over 5,000', async () => {
    await db.query('truncate mailbox_mail restart identity');
    await db.query(
      `insert into mailbox_mail (envelope_from, envelope_to, subject, from_text, raw, received_at)
       select 'a@example.com', 'b@example.com', 'mail ' || n, 'a', '', now() from generate_series(1, 5003) n`,
    );
    await mailbox.keep({
      raw: Buffer.from('Subject: newest\r\n\r\n'),
      from: 'a@example.com',
      to: 'b@example.com',
    });
    expect(await db.query('select count(*)::int, min(id) from mailbox_mail')).toEqual([
      { count: 5000, min: '5' },
    ]);
    expect((await mailbox.list({ limit: 1 }))[0]?.subject).toBe('newest');
  });

  it('answers null for a mail that is not there', async () => {
    for (const id of ['999999', 'x', '-1', '']) expect(await mailbox.open(id)).toBeNull();
  });
});
