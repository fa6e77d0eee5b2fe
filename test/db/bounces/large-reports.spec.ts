import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BounceSmtpServer, MAX_WHOLE_REPORTS } from '../../../src/bounces/bounce-smtp.server.js';
import { FIRST_BYTES, WHOLE_REPORT_BYTES } from '../../../src/bounces/bounce-intake.service.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { deliver, openSmtpClient, type SmtpClient } from '../../support/smtp-client.js';
import { BOUNCE_DOMAIN, openBounceOffice, type BounceOffice } from './bounce-office.js';

const FBL = `fbl@${BOUNCE_DOMAIN}`;

describe('a complaint with more in it than the first pages', () => {
  let office: BounceOffice;
  let listener: BounceSmtpServer;
  let port: number;
  const clients: SmtpClient[] = [];

  beforeAll(async () => {
    office = await openBounceOffice();
    listener = office.app.get(BounceSmtpServer, { strict: false });
    port = await listener.listen(0, '127.0.0.1');
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await listener.close();
    await office.close();
  });

  async function complaintOf(email: string, bytes: number, line = 'a line of the letter\n'): Promise<string> {
    const letter = line.repeat(Math.ceil(bytes / line.length));
    return (await office.complaint(await office.sent(email), 'abuse', letter)).toString();
  }

  it('counts when its reporter has signed all of it: no signature over more than 512 KiB was looked at', async () => {
    const mail = await complaintOf('large@example.org', 2 * FIRST_BYTES);
    expect(await deliver(port, FBL, mail)).toMatch(/^250 /);
    expect(await office.status('large@example.org')).toBe('complained');
  });

  it('does no more than the unsubscribe link when its end was changed on the way', async () => {
    const mail = await complaintOf('changed@example.org', 2 * FIRST_BYTES);
    expect(await deliver(port, FBL, mail.replace(/--=b--\r\n$/, 'more\r\n--=b--\r\n'))).toMatch(/^250 /);
    expect(await office.suppressed('changed@example.org')).toEqual(['marketing unsubscribed']);
  });

  it.each([
    ['is larger than any report', WHOLE_REPORT_BYTES, 'a line of the letter\n'],
    ['is made to be slow to check, of one line', FIRST_BYTES, 'x'],
    ['is made to be slow to check, of empty lines', FIRST_BYTES, '\n'],
  ])('does no more than the unsubscribe link when it %s', async (name, bytes, line) => {
    const email = `${name.length}.${line.length}@example.org`;
    expect(await deliver(port, FBL, await complaintOf(email, bytes, line))).toMatch(/^250 /);
    expect(await office.suppressed(email)).toEqual(['marketing unsubscribed']);
  });

  it('is put off when many come at once, so that they fill no memory, and counts later', async () => {
    const large = async (email: string): Promise<string> => complaintOf(email, 2 * FIRST_BYTES);
    const [mail, next] = [await large('first@example.org'), await large('next@example.org')];
    const begun = async (): Promise<SmtpClient> => {
      const client = await openSmtpClient(port);
      clients.push(client);
      for (const line of ['EHLO mx.example.net', 'MAIL FROM:<>', `RCPT TO:<${FBL}>`, 'DATA'])
        await client.say(line);
      return client;
    };
    const first = await Promise.all(Array.from({ length: MAX_WHOLE_REPORTS }, begun));
    for (const client of first) await client.pour(mail);
    // Not before these have been read so far that each has its place.
    expect(await becomesTrue(async () => (await deliver(port, FBL, next)).startsWith('451 '), 20_000)).toBe(
      true,
    );
    for (const client of first) expect(await client.say('.')).toMatch(/^250 /);
    expect(await deliver(port, FBL, next)).toMatch(/^250 /);
    for (const name of ['first', 'next'])
      expect(await office.status(`${name}@example.org`)).toBe('complained');
  });
});
