import { describe, expect, it } from 'vitest';
import { readPostmarkEvent } from '../../../src/bounces/providers/postmark.js';
import { readSendgridEvents } from '../../../src/bounces/providers/sendgrid.js';
import { mailgunBody, readMailgunEvent } from '../../../src/bounces/providers/mailgun.js';
import { readSesEvent } from '../../../src/bounces/providers/ses.js';
import type { JudgedMail } from '../../../src/bounces/judged-mail.js';

const EMAIL = 'reader@example.net';
const said = (mail: JudgedMail | null | undefined): string[] =>
  (mail?.findings ?? []).map(({ verdict, reason }) => `${verdict} ${reason}`);

describe("a provider's own reasons for not sending", () => {
  it.each([
    ['Recipient List over Package Quota', 'sender rate_limited'],
    ['Spam Content (if Spam Checker app enabled)', 'sender spam'],
    ['Invalid SMTPAPI header', 'sender content'],
    ['Spam Reporting Address', 'hard provider_suppressed'],
    ['Bounced Address', 'hard provider_suppressed'],
    ['Invalid', 'hard provider_suppressed'],
    ['Unsubscribed Address', 'ignore unsubscribed'],
  ])('the quota of the SendGrid account gives up no reader: %s', (reason, verdict) => {
    expect(said(readSendgridEvents([{ event: 'dropped', email: EMAIL, reason }])[0])).toEqual([verdict]);
  });

  it('who left by the link of Mailgun is no dead address: a receipt was the end of all mail to them', () => {
    const event = (reason: string) =>
      readMailgunEvent(
        mailgunBody.parse({
          signature: { timestamp: '1', token: 't', signature: 's' },
          'event-data': { event: 'failed', severity: 'permanent', reason, recipient: EMAIL },
        }),
      );
    expect(said(event('suppress-unsubscribe'))).toEqual(['ignore unsubscribed']);
    expect(said(event('suppress-bounce'))).toEqual(['hard provider_suppressed']);
  });

  it.each(['', 'The recipient was manually deactivated', 'marked as spam by the recipient; mail is blocked'])(
    'an address that Postmark sends nothing to is given up, whatever words stand beside: %s',
    (Details) => {
      const event = { RecordType: 'Bounce', Type: 'ManuallyDeactivated', Email: EMAIL, Details };
      expect(said(readPostmarkEvent(event))).toEqual(['hard provider_suppressed']);
    },
  );
});

describe('what Amazon calls transient and general', () => {
  const bounce = (quoted: object) =>
    said(
      readSesEvent(
        JSON.stringify({
          notificationType: 'Bounce',
          bounce: {
            bounceType: 'Transient',
            bounceSubType: 'General',
            bouncedRecipients: [{ emailAddress: EMAIL, ...quoted }],
          },
          mail: { source: 'ada@example.com', destination: [EMAIL] },
        }),
      ),
    );

  it('is an out-of-office note where no server is quoted: five of them gave up who was on holiday', () => {
    expect(bounce({})).toEqual(['ignore auto_reply']);
    expect(bounce({ status: '', diagnosticCode: null })).toEqual(['ignore auto_reply']);
  });

  it('is judged by the words of the other server where there are any', () => {
    expect(bounce({ status: '4.2.2', diagnosticCode: 'smtp; 452 4.2.2 mailbox full' })).toEqual([
      'soft mailbox_full',
    ]);
    expect(bounce({ status: '4.4.7' })).toEqual(['soft expired']);
  });
});

describe('an event with nothing, said as null, where a provider may say something', () => {
  it('is heard from SendGrid: it was passed over', () => {
    const event = {
      event: 'spamreport',
      email: EMAIL,
      reason: null,
      response: null,
      status: null,
      type: null,
    };
    expect(said(readSendgridEvents([{ ...event, 'smtp-id': null }])[0])).toEqual(['complaint abuse']);
  });

  it('is heard from Postmark: it was refused', () => {
    const event = { RecordType: 'SpamComplaint', Type: null, Email: EMAIL, Details: null, Metadata: null };
    expect(said(readPostmarkEvent({ ...event, Recipient: null, SuppressSending: null }))).toEqual([
      'complaint abuse',
    ]);
  });

  it('is heard from Mailgun: it was refused', () => {
    const signature = { timestamp: '1', token: 'a', signature: 'b' };
    const nothing = { severity: null, reason: null, envelope: null, message: null, 'user-variables': null };
    const event = { event: 'complained', recipient: EMAIL, 'delivery-status': null, ...nothing };
    expect(said(readMailgunEvent(mailgunBody.parse({ signature, 'event-data': event })))).toEqual([
      'complaint abuse',
    ]);
    expect(
      readMailgunEvent(mailgunBody.parse({ signature, 'event-data': { event: 'list_uploaded' } })),
    ).toBeNull();
  });

  it('is heard from Amazon: it was passed over', () => {
    const recipient = { emailAddress: EMAIL, status: null, diagnosticCode: null };
    const bounce = {
      ...{ bounceType: 'Permanent', bounceSubType: null, reportingMTA: null },
      bouncedRecipients: [recipient],
    };
    const event = { eventType: 'Bounce', bounce, complaint: null };
    expect(
      said(readSesEvent(JSON.stringify({ ...event, mail: { tags: null, headers: null, source: null } }))),
    ).toEqual(['hard provider_suppressed']);
  });
});
