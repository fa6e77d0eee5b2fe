import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BounceSmtpServer } from '../../../src/bounces/bounce-smtp.server.js';
import { ODD_REPORTS } from '../../support/odd-reports.js';
import { FEEDBACK_DNS, signedBy } from '../../support/signed-reports.js';
import { deliver } from '../../support/smtp-client.js';
import { BOUNCE_DOMAIN, openBounceOffice, type BounceOffice } from './bounce-office.js';

/** Written in the manner of each system: into the listener, and out come rows and what became of the reader. */
describe('reports that no collection has', () => {
  let office: BounceOffice;
  let listener: BounceSmtpServer;
  let port: number;
  beforeAll(async () => {
    office = await openBounceOffice({}, FEEDBACK_DNS);
    listener = office.app.get(BounceSmtpServer, { strict: false });
    port = await listener.listen(0, '127.0.0.1');
  });
  afterAll(async () => {
    await listener.close();
    await office.close();
  });

  it.each(ODD_REPORTS.map((one, at) => [one.name, at] as const))('%s', async (_, at) => {
    const report = ODD_REPORTS[at];
    if (!report) throw new Error('there is no such report');
    const email = `bob${at}@example.org`;
    const id = await office.plan(email);
    await office.sendDue();
    const taken = office.sink.mails.findLast(({ to }) => to.includes(email));
    if (!taken) throw new Error('the mail was not sent');
    const mail = report.mail({ to: email, from: taken.from, raw: taken.raw });
    const from = /^From:.*?([^\s<>@]+@[^\s<>]+)>?$/m.exec(mail)?.[1] ?? '';
    const signed = report.at === 'fbl' ? await signedBy(from, mail, office.clock.now()) : mail;
    const before = await office.bounces.list({ limit: 200 });
    const to = report.at === undefined ? taken.from : `${report.at}@${BOUNCE_DOMAIN}`;
    expect(await deliver(port, to, signed.toString())).toMatch(/^250 /);
    const kept = await office.bounces.list({ limit: 200 });
    const news = kept.slice(0, kept.length - before.length);
    // What nobody can read is kept for a person to look at, and does nothing.
    const counted = news.filter(({ reason }) => reason !== 'not_a_report');
    expect(counted.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(report.said);
    expect(counted.every(({ messageId }) => messageId === id)).toBe(true);
    expect(await office.status(email)).toBe(report.status);
  });
});
