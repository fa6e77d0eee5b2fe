import { describe, expect, it } from 'vitest';
import { mailgunBody, readMailgunEvent } from '../../../src/bounces/providers/mailgun.js';
import { readPostmarkEvent } from '../../../src/bounces/providers/postmark.js';
import { readSendgridEvents } from '../../../src/bounces/providers/sendgrid.js';
import { readSesEvent } from '../../../src/bounces/providers/ses.js';
import type { JudgedMail } from '../../../src/bounces/judged-mail.js';

const EMAIL = 'reader@example.net';
const said = (mail: JudgedMail | null | undefined): string[] =>
  (mail?.findings ?? []).map(({ verdict, reason }) => `${verdict} ${reason}`);

const sendgrid = (reason: string, classified: string | null = 'Invalid Address', type = 'bounce') =>
  said(
    readSendgridEvents([
      { event: 'bounce', type, email: EMAIL, reason, bounce_classification: classified },
    ])[0],
  );
const mailgun = (message: string, reason = 'bounce', code = 550) =>
  said(
    readMailgunEvent(
      mailgunBody.parse({
        signature: { timestamp: '1', token: 't', signature: 's' },
        'event-data': {
          event: 'failed',
          severity: 'permanent',
          reason,
          recipient: EMAIL,
          'delivery-status': { code, message },
        },
      }),
    ),
  );
/** How each provider tells that the address itself was refused for good. */
const DEAD: readonly (readonly [string, (words: string) => string[]])[] = [
  [
    'Postmark HardBounce',
    (words) =>
      said(
        readPostmarkEvent({
          RecordType: 'Bounce',
          Type: 'HardBounce',
          Email: EMAIL,
          Details: `smtp;${words}`,
        }),
      ),
  ],
  ['SendGrid bounce, Invalid Address', (words) => sendgrid(words)],
  ['Mailgun permanent bounce', (words) => mailgun(words)],
  [
    'Amazon Permanent NoEmail',
    (words) =>
      said(
        readSesEvent(
          JSON.stringify({
            notificationType: 'Bounce',
            bounce: {
              bounceType: 'Permanent',
              bounceSubType: 'NoEmail',
              bouncedRecipients: [{ emailAddress: EMAIL, diagnosticCode: `smtp; ${words}` }],
            },
            mail: { source: 'ada@example.com', destination: [EMAIL] },
          }),
        ),
      ),
  ],
];

describe.each(DEAD)('an address that %s calls dead', (_, read) => {
  it.each([
    '550 5.5.0 Requested action not taken: mailbox unavailable',
    "554 delivery error: dd This user doesn't have a yahoo.com account (reader@example.net) [0]",
    '550 No Such User Here',
    '550 5.1.1 <reader@example.net>: user unknown',
  ])('is dead where the words name no address: %s', (words) => {
    expect(read(words)).toEqual(['hard user_unknown']);
  });

  it.each([
    [
      '554 5.7.1 Service unavailable; client host [192.0.2.1] blocked using zen.spamhaus.org',
      'sender blocked',
    ],
    ['550 5.7.26 This mail is unauthenticated', 'sender auth_failure'],
    ['550 5.7.1 Our system has detected that this message is likely unsolicited mail', 'sender spam'],
    ['550 5.7.1 Message rejected due to local policy', 'sender policy'],
    ['550 5.7.1 User unknown or not permitted', 'soft filtered'],
    ['552 5.2.2 Mailbox full', 'soft mailbox_full'],
    ['550 5.2.1 The email account is disabled', 'soft suspended'],
  ])('is not dead where the words say something else: %s', (words, verdict) => {
    expect(read(words)).toEqual([verdict]);
  });
});

describe("a provider's own class", () => {
  it.each([
    ['Invalid Address', 'bounce', 'hard user_unknown'],
    ['Reputation', 'bounce', 'sender bad_reputation'],
    ['Content', 'bounce', 'sender content'],
    ['Frequency or Volume Too High', 'bounce', 'sender rate_limited'],
    ['Frequency/Volume', 'bounce', 'sender rate_limited'],
    ['Mailbox Unavailable', 'bounce', 'soft unclear'],
    ['Technical Failure', 'bounce', 'soft unclear'],
    ['Unclassified', 'bounce', 'soft unclear'],
    [null, 'bounce', 'soft unclear'],
    ['Invalid Address', 'blocked', 'sender blocked'],
    ['Reputation', 'blocked', 'sender bad_reputation'],
    [null, 'blocked', 'sender blocked'],
  ])('of SendGrid, %s as %s, is all there is where the words say nothing', (classified, type, verdict) => {
    expect(sendgrid('550 Sorry', classified, type)).toEqual([verdict]);
  });

  it('of Mailgun is no word about the address where the reply says nothing, and "No MX" is about its domain', () => {
    expect(mailgun('Sorry')).toEqual(['soft unclear']);
    expect(mailgun('No Such User Here', 'generic')).toEqual(['soft filtered']);
    expect(mailgun('Sorry', 'espblock')).toEqual(['sender blocked']);
    expect(mailgun('No MX for y.example', 'generic', 498)).toEqual(['hard host_unknown']);
    expect(mailgun('No MX for [y.example]', 'bounce', 498)).toEqual(['hard host_unknown']);
    expect(mailgun('No MX for y.example', 'old', 498)).toEqual(['hard host_unknown']);
  });

  it('of SendGrid that calls a refusal blocked does not kill the address, whatever name it gives it', () => {
    expect(sendgrid('550 No Such User Here', 'Invalid Address', 'blocked')).toEqual(['soft filtered']);
  });
});
