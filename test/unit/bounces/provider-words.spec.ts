import { describe, expect, it } from 'vitest';
import { readPostmarkEvent } from '../../../src/bounces/providers/postmark.js';
import { readSendgridEvents } from '../../../src/bounces/providers/sendgrid.js';
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
  ])('the quota of the SendGrid account gives up no reader: %s', (reason, verdict) => {
    expect(said(readSendgridEvents([{ event: 'dropped', email: EMAIL, reason }])[0])).toEqual([verdict]);
  });

  it.each(['', 'The recipient was manually deactivated', 'marked as spam by the recipient; mail is blocked'])(
    'an address that Postmark sends nothing to is given up, whatever words stand beside: %s',
    (Details) => {
      const event = { RecordType: 'Bounce', Type: 'ManuallyDeactivated', Email: EMAIL, Details };
      expect(said(readPostmarkEvent(event))).toEqual(['hard provider_suppressed']);
    },
  );
});
