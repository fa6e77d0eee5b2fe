import { describe, expect, it } from 'vitest';
import { readPostmarkEvent } from '../../../src/bounces/providers/postmark.js';
import { readSesEvent } from '../../../src/bounces/providers/ses.js';
import type { JudgedMail } from '../../../src/bounces/judged-mail.js';

const EMAIL = 'reader@example.net';
const said = (mail: JudgedMail | null): string[] =>
  (mail?.findings ?? []).map(({ verdict, reason }) => `${verdict} ${reason}`);

describe('kinds of bounce that Postmark tells of', () => {
  it.each([
    ['Unsubscribe', ['ignore unsubscribed']],
    ['SpamComplaint', ['complaint abuse']],
    ['TemplateRenderingFailed', ['sender content']],
    ['SMTPApiError', ['sender protocol']],
    ['Unconfirmed', ['sender sender_rejected']],
    ['InboundError', []],
    ['Subscribe', []],
    ['OpenRelayTest', []],
  ])('%s is no mail that its reader did not get: five of them gave the reader up', (Type, verdicts) => {
    for (const Details of ['', 'smtp;550 5.1.1 user unknown', 'An error has occurred']) {
      expect(said(readPostmarkEvent({ RecordType: 'Bounce', Type, Email: EMAIL, Details }))).toEqual(
        verdicts,
      );
    }
  });
});

describe('kinds of suppression that Amazon tells of', () => {
  it.each([
    ['UnsubscribedRecipient', 'ignore unsubscribed'],
    ['OnTenantSuppressionList', 'hard provider_suppressed'],
    ['EmailValidationSuppressed', 'hard provider_suppressed'],
    ['OnAccountSuppressionList', 'hard provider_suppressed'],
  ])('%s is what it says, whatever words stand beside: who had left was a dead address', (kind, verdict) => {
    const quoted = [
      {},
      { status: '5.1.1', diagnosticCode: 'Amazon SES did not send the message to this address' },
    ];
    for (const words of quoted) {
      const bounce = {
        bounceType: 'Permanent',
        bounceSubType: kind,
        bouncedRecipients: [{ emailAddress: EMAIL, ...words }],
      };
      const mail = { source: 'ada@example.com', destination: [EMAIL] };
      expect(said(readSesEvent(JSON.stringify({ notificationType: 'Bounce', bounce, mail })))).toEqual([
        verdict,
      ]);
    }
  });
});
