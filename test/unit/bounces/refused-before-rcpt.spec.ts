import { describe, expect, it } from 'vitest';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { report, text } from '../../support/returned-mails.js';

const judge = async (mail: string): Promise<string> => {
  const { verdict, reason, findings } = await judgeMail(Buffer.from(mail));
  expect(findings.map(({ recipient }) => recipient)).toEqual(['bob@example.org']);
  return `${verdict} ${reason}`;
};
/** As Exim writes it. */
const exim = (said: string): string =>
  text(
    'Mail Delivery System <Mailer-Daemon@mail.example.com>',
    'Mail delivery failed: returning message to sender',
    `This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  bob@example.org
    host mx.example.org [192.0.2.4]
    SMTP error from remote mail server ${said}
`,
    'Return-Path: <>\nX-Failed-Recipients: bob@example.org',
  );
/** As Postfix writes it. */
const postfix = (said: string, status: string, diagnostic = ''): string =>
  report({
    words: `<bob@example.org>: host mx.example.org[192.0.2.4] ${said}`,
    fields: `Final-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: ${status}\nDiagnostic-Code: ${diagnostic || `X-Postfix; host mx.example.org[192.0.2.4] ${said}`}`,
  });

describe('a refusal before the reader was named', () => {
  it.each([
    [
      'after initial connection:\n    554 IP=192.0.2.7 - A problem occurred. (Ask your postmaster)',
      'blocked',
    ],
    ['after EHLO mail.example.com: 550 You are not welcome here', 'sender_rejected'],
    ['after MAIL FROM:<b+token@bounce.example.com>: 550 Denied', 'sender_rejected'],
    ['after pipelined MAIL FROM:<b+token@bounce.example.com> SIZE=4000: 550 Denied', 'sender_rejected'],
    ['after HELO mail.example.com: 550 Account suspended', 'sender_rejected'],
    ['after initial connection: 554 Service unavailable', 'sender_rejected'],
  ])('counted against the reader, told by Exim: %s', async (said, reason) => {
    expect(await judge(exim(said))).toBe(`sender ${reason}`);
  });

  it.each([
    ['refused to talk to me: 550 Access denied', '5.0.0', '', 'sender_rejected'],
    ['refused to talk to me: 554 mx.example.org', '5.0.0', '', 'sender_rejected'],
    ['refused to talk to me: 554 IP=192.0.2.7 - None/bad reputation', '5.0.0', '', 'bad_reputation'],
    ['said: 550 Denied (in reply to MAIL FROM command)', '5.0.0', 'smtp; 550 Denied', 'sender_rejected'],
    [
      'said: 550 5.2.1 Denied (in reply to MAIL FROM command)',
      '5.2.1',
      'smtp; 550 5.2.1 Denied',
      'sender_rejected',
    ],
  ])('counted against the reader, told by Postfix: %s', async (said, status, diagnostic, reason) => {
    expect(await judge(postfix(said, status, diagnostic))).toBe(`sender ${reason}`);
  });

  it.each([
    ['refused to talk to me: 450 come back later', '4.0.0'],
    ['refused to talk to me: 554 This domain does not accept mail', '5.0.0'],
  ])(
    'is still what it says where it was for now, or of a domain that takes no mail: %s',
    async (said, status) => {
      expect(await judge(postfix(said, status))).not.toMatch(/^sender/);
    },
  );

  it.each([
    ['550 Mailbox disabled', 'soft suspended'],
    ['550 5.1.1 <bob@example.org>: User unknown', 'hard user_unknown'],
  ])('is not meant by "mail from" in a sentence, as it was: %s', async (said, expected) => {
    const words = `Your mail from Monday could not be delivered to\n\nbob@example.org\n\n${said}`;
    expect(await judge(text('postmaster@example.org', 'Undeliverable mail', words))).toBe(expected);
  });
});
