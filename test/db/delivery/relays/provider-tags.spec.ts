import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROVIDERS } from '../../../../src/values/mail-providers.js';
import { SmtpLane } from '../../../../src/delivery/relays/smtp-lane.transport.js';
import { readVerp } from '../../../../src/delivery/mails/verp.js';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { openPostOffice, SECRET, type PostOffice } from '../post-office.js';

/** Providers put a return path of their own in place of ours; the tag is what their reports bring back. */
describe('the tag for mail providers', () => {
  let relay: SmtpSink;
  let office: PostOffice;

  beforeAll(async () => {
    relay = await openSmtpSink();
    office = await openPostOffice({ SMTP_URL: `${relay.url}?provider=sendgrid` });
  });
  afterAll(async () => {
    await office.close();
    await relay.close();
  });

  it('stands in a mail that goes to one, and names it', async () => {
    const id = await office.plan('bob@example.org');
    expect(await office.sendDue()).toBe(1);
    const raw = relay.mails[0]?.raw ?? '';
    const tag = /^X-SMTPAPI: \{"unique_args": \{"wellspring": "([a-z2-7]+)"\}\}\r$/m.exec(raw)?.[1];
    expect(readVerp(SECRET, `b+${tag ?? ''}`)).toBe(id);
  });

  it.each(PROVIDERS)('is written as %s wants it, once and first', async (provider) => {
    const lane = new SmtpLane('relay', new URL(relay.url), provider);
    const raw = Buffer.from('From: a@example.com\r\n\r\n.x\r\n');
    const mail = {
      id: '1',
      from: 'b@example.com',
      to: 'c@example.org',
      needsSmtpUtf8: false,
      raw,
      tag: 'a2b3',
    };
    expect(await lane.send(mail, async () => true)).toMatchObject({ kind: 'accepted' });
    lane.close();
    expect(relay.mails.at(-1)?.raw).toMatch(/^X-[\w-]+: .*a2b3.*\r\nFrom: a@example\.com\r\n\r\n\.x\r\n$/);
  });

  it('stands in no mail to another relay', async () => {
    const own = await openPostOffice();
    try {
      await own.plan('bob@example.org');
      await own.sendDue();
      expect(own.sink.mails[0]?.raw).not.toMatch(/^X-(?:SMTPAPI|PM-Metadata|Mailgun|SES)/im);
    } finally {
      await own.close();
    }
  });
});
