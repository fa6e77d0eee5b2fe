import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BounceSmtpServer } from '../../../src/bounces/bounce-smtp.server.js';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { deliver } from '../../support/smtp-client.js';
import { REPORTER, signedByExampleOrg } from '../../support/signed-reports.js';
import { BOUNCE_DOMAIN, openBounceOffice, type BounceOffice } from './bounce-office.js';

/** Yahoo sends a report for each domain that has signed the mail and takes part: ours and the relay's. */
describe('a complaint that is reported once for each signature of the mail', () => {
  let office: BounceOffice;
  let listener: BounceSmtpServer;
  let port: number;
  let broadcastId: string;

  beforeAll(async () => {
    office = await openBounceOffice();
    listener = office.app.get(BounceSmtpServer, { strict: false });
    port = await listener.listen(0, '127.0.0.1');
    broadcastId = await office.broadcast();
    await office.db.query(
      `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, state,
         due_at, settled_at, accepted_at, created_at, lane_key, broadcast_id)
       select 'c:' || n, 'marketing', 'broadcast', (select max(id) from email_template), '{}', n || '@example.org',
         decode(md5(n::text), 'hex'), '<' || n || '@example.com>', 'accepted', $2, $2, $2, $2, 'example.com|yahoo', $1
       from generate_series(1, 300) n`,
      [broadcastId, office.clock.now()],
    );
  });
  afterAll(async () => {
    await listener.close();
    await office.close();
  });

  /** A mail of the broadcast as the relay took it. */
  const sent = async (email: string): Promise<{ from: string; raw: string; id: string }> => {
    const id = await office.plan(email);
    await office.db.query(`update message set broadcast_id = $2, kind = 'broadcast' where id = $1`, [
      id,
      broadcastId,
    ]);
    await office.sendDue();
    const mail = office.sink.mails.findLast(({ to }) => to.includes(email));
    if (!mail) throw new Error('the mail was not sent');
    return { from: mail.from, raw: mail.raw, id };
  };
  const complains = async ({ from, raw }: { from: string; raw: string }, domain: string): Promise<void> => {
    const report = `From: Yahoo! Mail AntiSpam Feedback <${REPORTER}>
To: fbl@${BOUNCE_DOMAIN}
Subject: FW: Your guide
Message-ID: <report-of-${domain}@example.org>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=b"

--=b
Content-Type: text/plain; charset=us-ascii

This is an email abuse report for an email message from ${domain}.

--=b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Yahoo!-Mail-Feedback/2.0
Version: 0.1
Original-Mail-From: <${from}>
Reported-Domain: ${domain}
Source-IP: 192.0.2.10

--=b
Content-Type: message/rfc822
Content-Disposition: inline

Return-Path: <${from}>
${raw}
--=b--
`;
    const signed = (await signedByExampleOrg(report, office.clock.now())).toString();
    expect(await deliver(port, `fbl@${BOUNCE_DOMAIN}`, signed)).toMatch(/^250 /);
  };
  const alerts = async (): Promise<string[]> => {
    await office.app.get(RatesWatch, { strict: false }).look();
    return (await office.alertKeys()).filter((key) => /^(?:complaints|bounces:broadcast):/.test(key));
  };

  it('is one: the reader gets no more, and the broadcast has one, though the second comes a day later', async () => {
    const mail = await sent('angry@example.org');
    await complains(mail, 'example.com');
    await complains(mail, 'relay.example');
    expect(await office.bounces.list({ messageId: mail.id, limit: 10 })).toHaveLength(1);
    office.clock.advance(86_400_000);
    await complains(mail, 'relay.example');
    expect(await office.status('angry@example.org')).toBe('complained');
    expect(await office.suppressed('angry@example.org')).toEqual(['all complaint']);
    expect(await alerts()).toEqual([]);
  });

  it('beside that of a second reader makes two, of which the owner hears', async () => {
    const mail = await sent('other@example.org');
    await complains(mail, 'example.com');
    expect(await alerts()).toEqual(expect.arrayContaining([`bounces:broadcast:${broadcastId}`]));
  });
});
