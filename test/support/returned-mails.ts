/** Mails of the kinds that come back, written for these tests. */
interface ReturnedMail {
  name: string;
  verdict: string;
  reason: string;
  recipients: string[];
  mail: string;
}

const TO = 'To: b+token@bounce.example.com';
const ORIGINAL = [
  'From: Ada <ada@example.com>',
  'To: bob@example.org',
  'Subject: Hello',
  'Message-ID: <abc@example.com>',
  '',
  'Hello Bob',
].join('\n');

export function report({
  words,
  fields,
  from = 'MAILER-DAEMON@mx.example.net',
  headers = 'Return-Path: <>',
}: {
  words: string;
  fields: string;
  from?: string;
  headers?: string;
}): string {
  return `${headers}
From: Mail Delivery System <${from}>
${TO}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=b"

--=b
Content-Type: text/plain

${words}

--=b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

${fields}

--=b
Content-Type: message/rfc822

${ORIGINAL}

--=b--
`;
}

export const text = (from: string, subject: string, body: string, headers = 'Return-Path: <>'): string =>
  `${headers}\nFrom: ${from}\n${TO}\nSubject: ${subject}\nContent-Type: text/plain\n\n${body}\n`;

const fields = (status: string, diagnostic: string, action = 'failed') =>
  `Final-Recipient: rfc822; bob@example.org\nAction: ${action}\nStatus: ${status}\nDiagnostic-Code: smtp; ${diagnostic}`;

const standard: ReturnedMail[] = (
  [
    ['an unknown user', 'hard', 'user_unknown', '5.1.1', '550 5.1.1 <bob@example.org>: User unknown'],
    ['a full mailbox', 'soft', 'mailbox_full', '5.2.2', '552 5.2.2 Mailbox full'],
    [
      'missing authentication',
      'sender',
      'auth_failure',
      '5.7.26',
      '550-5.7.26 This mail has been blocked: neither SPF nor DKIM passed',
    ],
    [
      'a block list',
      'sender',
      'blocked',
      '5.7.1',
      '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using list.example',
    ],
    ['a policy said with 5.1.1', 'sender', 'policy', '5.1.1', '550 5.1.1 Rejected for policy reasons'],
    [
      'an unknown user said with 4.1.1',
      'hard',
      'user_unknown',
      '4.1.1',
      '450 4.1.1 <bob@example.org>: User unknown',
    ],
  ] as const
).map(([name, verdict, reason, status, diagnostic]) => ({
  name,
  verdict,
  reason,
  recipients: ['bob@example.org'],
  mail: report({
    words: `<bob@example.org>: host mx.example.org said: ${diagnostic} (in reply to RCPT TO command)`,
    fields: fields(status, diagnostic),
  }),
}));

export const RETURNED_MAILS: readonly ReturnedMail[] = [
  ...standard,
  {
    name: '"user unknown" after the body: a filter',
    verdict: 'soft',
    reason: 'filtered',
    recipients: ['bob@example.org'],
    mail: report({
      words:
        '<bob@example.org>: host mx.example.org said: 550 User unknown (in reply to end of DATA command)',
      fields: fields('5.0.0', '550 User unknown'),
    }),
  },
  {
    name: 'a warning that delivery takes longer',
    verdict: 'ignore',
    reason: 'delayed',
    recipients: ['bob@example.org'],
    mail: report({
      words: 'Your mail is delayed.',
      fields: fields('4.4.1', '450 connection timed out', 'delayed'),
    }),
  },
  {
    name: 'a receipt that it was delivered',
    verdict: 'ignore',
    reason: 'delivered',
    recipients: ['bob@example.org'],
    mail: report({ words: 'Delivered.', fields: fields('2.1.5', '250 2.1.5 OK', 'relayed') }),
  },
  {
    name: 'two recipients, each with an end of its own',
    verdict: 'hard',
    reason: 'user_unknown',
    recipients: ['bob@example.org', 'eve@example.org'],
    mail: report({
      words: 'Two addresses failed.',
      fields: `${fields('5.2.2', '552 5.2.2 Mailbox full')}\n\n${fields('5.1.1', '550 5.1.1 no such user').replace('bob@', 'eve@')}`,
    }),
  },
  {
    name: 'qmail',
    verdict: 'hard',
    reason: 'user_unknown',
    recipients: ['bob@example.org'],
    mail: text(
      'MAILER-DAEMON@mx.example.net',
      'failure notice',
      `Hi. This is the qmail-send program at mx.example.net.\nI've given up.\n\n<bob@example.org>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 no such user\n\n--- Below this line is a copy of the message.\n\n${ORIGINAL}`,
    ),
  },
  {
    name: 'Exim, refused at MAIL FROM: not about the person',
    verdict: 'sender',
    reason: 'sender_rejected',
    recipients: ['bob@example.org'],
    mail: text(
      'Mail Delivery System <Mailer-Daemon@mx.example.net>',
      'Mail delivery failed: returning message to sender',
      `A message that you sent could not be delivered.\n\n  bob@example.org\n    SMTP error from remote mail server after MAIL FROM:<ada@example.com>:\n    host mx.example.org: 550 user ada does not exist\n\n------ This is a copy of the message, including all the headers. ------\n\n${ORIGINAL}`,
      'Return-Path: <>\nX-Failed-Recipients: bob@example.org',
    ),
  },
  {
    name: 'a directory that does not know the name',
    verdict: 'hard',
    reason: 'user_unknown',
    recipients: ['bob@example.org'],
    mail: text(
      'Postmaster@example.org',
      'DELIVERY FAILURE: User bob not listed in Domino Directory',
      'Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  bob@example.org\n\nbecause:\n\n  User bob (bob@example.org) not listed in Domino Directory',
    ),
  },
  {
    name: 'a complaint',
    verdict: 'complaint',
    reason: 'abuse',
    recipients: ['bob@example.org'],
    mail: complaint('abuse'),
  },
  {
    name: 'not spam after all',
    verdict: 'ignore',
    reason: 'not_spam',
    recipients: ['bob@example.org'],
    mail: complaint('not-spam'),
  },
  {
    name: 'a failed authentication',
    verdict: 'sender',
    reason: 'auth_failure',
    recipients: ['bob@example.org'],
    mail: complaint('auth-failure'),
  },
  {
    name: 'somebody on holiday',
    verdict: 'ignore',
    reason: 'auto_reply',
    recipients: ['bob@example.org'],
    mail: text(
      'Bob <bob@example.org>',
      'Out of office: Hello',
      'I am away until Monday. My mailbox is full of sand.',
      'Auto-Submitted: auto-replied',
    ),
  },
  {
    name: 'a challenge',
    verdict: 'ignore',
    reason: 'auto_reply',
    recipients: ['bob@example.org'],
    mail: text('Bob <bob@example.org>', 'Please confirm your message', 'Click to prove that you are human.'),
  },
  {
    name: 'a letter from a friend',
    verdict: 'ignore',
    reason: 'not_a_report',
    recipients: [],
    mail: text(
      'Bob <bob@example.org>',
      'Hello',
      'user unknown? 550 5.1.1! Only joking.',
      'Return-Path: <bob@example.org>',
    ),
  },
];

export function complaint(type: string): string {
  return `From: Feedback <feedback@fbl.example.net>
${TO}
Subject: FW: Hello
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=b"

--=b
Content-Type: text/plain

This is an email abuse report.

--=b
Content-Type: message/feedback-report

Feedback-Type: ${type}
User-Agent: Example-FBL/1.0
Version: 1
Original-Rcpt-To: <bob@example.org>

--=b
Content-Type: message/rfc822

${ORIGINAL}

--=b--
`;
}
