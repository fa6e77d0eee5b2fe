import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { text } from '../../support/returned-mails.js';
import { SECRET } from '../delivery/post-office.js';
import { BOUNCE_DOMAIN, FROM_RELAY, openBounceOffice, type BounceOffice } from './bounce-office.js';

const DAY_MS = 86_400_000;

/** A help desk, a shop or a mailing list has signed up, and its system answers each mail it gets. */
const ACKNOWLEDGED = [
  {
    name: 'ticket',
    from: 'Example Support <noreply@example.org>',
    subject: '[Ticket #123] We have received your request',
    headers: 'Return-Path: <>\nAuto-Submitted: auto-generated',
    body: 'Hello,\n\nwe have received your request and will answer within two working days.\nYour ticket: ticket@example.org / 512',
  },
  {
    name: 'hosted',
    from: 'Example <noreply@example.zendesk.test>',
    subject: '[Request received] News of the week',
    headers:
      'Return-Path: <noreply@example.zendesk.test>\nAuto-Submitted: auto-generated\nX-Auto-Response-Suppress: All\nPrecedence: bulk',
    body: 'Your request (123) has been received and is being reviewed by our support staff.\n\nhosted@example.org',
  },
  {
    name: 'moderated',
    from: 'news-owner@lists.example.org',
    subject: 'Your message to News awaits moderator approval',
    headers:
      'Return-Path: <news-bounces@lists.example.org>\nPrecedence: bulk\nX-BeenThere: news@lists.example.org',
    body: "Your mail to 'News' with the subject\n\n    Hello\n\nIs being held until the list moderator can review it for approval. moderated@example.org",
  },
  {
    name: 'moderator',
    from: 'news-bounces@lists.example.org',
    subject: 'Request to mailing list News rejected',
    headers:
      'Return-Path: <news-bounces@lists.example.org>\nPrecedence: list\nList-Id: News <news.lists.example.org>',
    body: 'Your request to the News mailing list has been rejected by the list moderator. Any questions should go to\n\nnews-owner@lists.example.org',
  },
  {
    name: 'version',
    from: 'Example Desk <jira@example.org>',
    subject: 'HELP-123 Received: News of the week',
    headers: 'Return-Path: <jira@example.org>\nAuto-Submitted: auto-generated\nPrecedence: bulk',
    body: 'We have received your request. Account version@example.org.\n\nThis message was sent by Example Desk (v5.1.1#51113)',
  },
  {
    name: 'nobody',
    from: 'noreply@example.org',
    subject: 'Ticket received',
    headers: 'Return-Path: <>\nAuto-Submitted: auto-generated',
    body: 'We have received your message. The account nobody@example.org does not exist in our help desk yet: please register.',
  },
  {
    name: 'quoted',
    from: 'Example Support <noreply@example.org>',
    subject: 'Thank you for your mail',
    headers: 'Return-Path: <>\nAuto-Submitted: auto-generated',
    body: 'We have received your mail.\n\n-----Original Message-----\nFrom: Ada <ada@example.com>\nTo: quoted@example.org\nSubject: Hello\n\nHello',
  },
];

/** Nothing in their heads says that a program wrote them. */
const UNMARKED = [
  {
    name: 'thanks',
    from: 'Shop <no-reply@shop.example.org>',
    subject: 'Thank you for contacting us',
    headers: 'Return-Path: <>',
    body: 'This mailbox is answered within 24 hours. Write to thanks@example.org in urgent cases.',
  },
  {
    name: 'register',
    from: 'helpdesk@example.org',
    subject: 'Your request was rejected: please register first',
    headers: 'Return-Path: <>',
    body: 'Your message to register@example.org was not accepted because you have no account. Register at https://help.example.org.',
  },
  {
    name: 'order',
    from: 'Shop <no-reply@shop.example.org>',
    subject: 'Your order',
    headers: 'Return-Path: <>',
    body: 'The order of the account order@example.org failed with error 404 - please try again.',
  },
  {
    name: 'copied',
    from: 'Shop <no-reply@shop.example.org>',
    subject: 'Thank you for contacting us',
    headers: 'Return-Path: <>',
    body: 'We answer within 24 hours.\n\n-----Original Message-----\nFrom: Ada <ada@example.com>\nTo: copied@example.org\nSubject: Hello\n\nHello',
  },
];

describe('a system that answers each mail', () => {
  let office: BounceOffice;
  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());

  it.each([...ACKNOWLEDGED, ...UNMARKED])(
    'gave its own address up after five mails, receipts included: $name',
    async ({ name, from, subject, headers, body }) => {
      const email = `${name}@example.org`;
      for (let count = 1; count <= 6; count++) {
        const id = await office.sent(email);
        office.clock.advance(DAY_MS);
        const raw = Buffer.from(text(from, subject, body, headers));
        const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
        expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp', ...FROM_RELAY })).toBe(
          'nothing',
        );
      }
      expect(await office.status(email)).toBe('active');
      expect(await office.suppressed(email)).toEqual([]);
      expect(await office.alertKeys()).toEqual([]);
    },
  );

  it.each(UNMARKED)(
    'is kept for a person to look at where nothing says that a program wrote it: $name',
    async ({ name, from, subject, headers, body }) => {
      const id = await office.sent(`${name}2@example.org`);
      const raw = Buffer.from(text(from, subject, body, headers));
      const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
      await office.intake.receive({ raw, envelopeTo, source: 'smtp', ...FROM_RELAY });
      const kept = await office.bounces.list({ messageId: id, limit: 5 });
      expect(kept.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(['ignore not_a_report']);
    },
  );

  it.each([
    ['unknown', ''],
    ['e500', 'Error 500: '],
    ['e503', 'Error 503 - '],
    ['c502', 'error code: 502 '],
    ['c501', 'Code 501 - '],
    ['c504', 'Error code: 504 '],
  ])(
    'ended a reader by one mail about an account of its own, as "%s": it counts, and is not enough',
    async (name, error) => {
      const email = `${name}@example.org`;
      const id = await office.sent(email);
      const body = `${error}The account ${email} does not exist in our help desk yet: please register.`;
      const raw = Buffer.from(text('noreply@example.org', 'Ticket received', body, 'Return-Path: <>'));
      const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
      expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp', ...FROM_RELAY })).toBe('counted');
      const kept = await office.bounces.list({ messageId: id, limit: 5 });
      expect(kept.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(['soft user_unknown']);
      expect([await office.status(email), await office.suppressed(email)]).toEqual(['active', []]);
    },
  );

  it.each(['Error 550: ', 'error code: 554 ', 'Error 501 5.1.3 '])(
    'tells of a dead address where its number is one of mail: %s',
    async (error) => {
      const email = `dead${error.replace(/\D/g, '')}@example.org`;
      const id = await office.sent(email);
      const body = `Your message was not delivered.\n\n${error}<${email}>: user unknown`;
      const raw = Buffer.from(text('noreply@example.org', 'Your message', body, 'Return-Path: <>'));
      const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
      expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp', ...FROM_RELAY })).toBe('counted');
      expect(await office.status(email)).toBe('bounced');
    },
  );

  it('is a report nevertheless where it tells what a server said', async () => {
    const id = await office.sent('refused@example.org');
    const raw = Buffer.from(
      text(
        'noreply@example.org',
        'Your message',
        'Your message to refused@example.org did not arrive. The server said:\n550 5.2.2 Mailbox full',
        'Return-Path: <>\nAuto-Submitted: auto-generated\nX-Auto-Response-Suppress: All',
      ),
    );
    const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
    expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp', ...FROM_RELAY })).toBe('counted');
  });
});

describe('a report in words about a mail that asks to confirm an address', () => {
  let office: BounceOffice;
  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());

  const exchange = `Your message did not reach some or all of the intended recipients.

      Subject: Please confirm your email address
      Sent: 1/5/2026 9:00 AM

The following recipient(s) could not be reached:

      exchange@example.org on 1/5/2026 9:00 AM
            The e-mail account does not exist at the organization this message was sent to.
            <mail.example.org #5.1.1>`;
  const domino = `Your message

  Subject: Confirm your email

was not delivered to:

  domino@example.org

because:

  User domino (domino@example.org) not listed in Domino Directory`;
  const report = `--x
Content-Type: text/plain

Delivery has failed to these recipients or groups:

unspoken@example.org
The email address you entered could not be found.
Remote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'

--x--`;
  const REPORT_TYPE = 'Content-Type: multipart/report; report-type=delivery-status; boundary=x';

  it.each([
    [
      'exchange',
      'System Administrator <postmaster@example.org>',
      'Undeliverable: Please confirm your email address',
      exchange,
      '',
    ],
    [
      'domino',
      'Mail Router <postmaster@example.org>',
      'DELIVERY FAILURE: User domino not listed in Domino Directory: confirm your email address',
      domino,
      '',
    ],
    [
      'domino',
      'router@example.org',
      'DELIVERY FAILURE: User domino not listed in Domino Directory: confirm your email address',
      domino,
      '',
    ],
    [
      'exchange',
      'postmaster@example.org',
      'Undeliverable: Please confirm your email address',
      exchange,
      'Auto-Submitted: auto-replied',
    ],
    ['unspoken', 'postmaster@example.org', 'Undeliverable: Verify your email address', report, REPORT_TYPE],
    ['unspoken', 'reports@example.org', 'Verify your email address', report, REPORT_TYPE],
  ])('was taken for a challenge and ignored: %s from %s', async (name, from, subject, body, headers) => {
    const id = await office.sent(`${name}@example.org`, { dedupeKey: `${from}:${subject}:${headers}` });
    const mail = text(
      from,
      subject,
      body,
      ['Return-Path: <>', headers].filter((one) => one !== '').join('\n'),
    );
    const raw = Buffer.from(headers === REPORT_TYPE ? mail.replace('Content-Type: text/plain\n', '') : mail);
    const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
    expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp', ...FROM_RELAY })).toBe('counted');
    const kept = await office.bounces.list({ messageId: id, limit: 5 });
    expect(kept.map(({ reason }) => reason)).toEqual(['user_unknown']);
  });

  it('is told apart from a challenge, which a person or their filter sends', async () => {
    const id = await office.sent('challenge@example.org');
    const raw = Buffer.from(
      text(
        'no-reply@example.org',
        'Please confirm that you are the sender',
        'Click here: challenge@example.org',
      ),
    );
    const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
    expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp', ...FROM_RELAY })).toBe('nothing');
    expect(await office.bounces.list({ messageId: id, limit: 5 })).toEqual([]);
  });
});
