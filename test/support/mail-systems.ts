/** Reports in the manner of mail systems one meets, written from what is known of each and not from the parser. */
export interface SystemMail {
  name: string;
  verdict: 'hard' | 'soft' | 'sender' | 'ignore' | 'complaint';
  recipients: string[];
  mail: string;
}

const BOB = 'bob@example.org';
const ORIGINAL_HEADERS = `Return-Path: <b+abc@bounce.example.com>
Received: from mail.example.com (mail.example.com [192.0.2.10])
 by mx.example.net with ESMTPS id 4XyZ; Mon, 5 Jan 2026 09:00:01 +0000
From: Ada <ada@example.com>
To: Bob <bob@example.org>
Subject: Weekly tips
Message-ID: <one@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8`;

interface Dsn {
  from?: string;
  subject?: string;
  words: string;
  /** Recipient fields, one string for each recipient. */
  fields: string[];
  mta?: string;
  returned?: 'message/rfc822' | 'text/rfc822-headers' | 'none';
  html?: string;
}

/** An RFC 3464 report, whatever its words say. */
export function dsn({
  from = 'Mail Delivery System <MAILER-DAEMON@mx.example.net>',
  subject = 'Undelivered Mail Returned to Sender',
  words,
  fields,
  mta = 'dns; mx.example.net',
  returned = 'message/rfc822',
  html,
}: Dsn): string {
  const parts = [
    `Content-Type: text/plain; charset=utf-8\n\n${words}`,
    ...(html === undefined ? [] : [`Content-Type: text/html; charset=utf-8\n\n${html}`]),
    `Content-Type: message/delivery-status\n\nReporting-MTA: ${mta}\nArrival-Date: Mon, 5 Jan 2026 09:00:00 +0000\n\n${fields.join('\n\n')}`,
    ...(returned === 'none' ? [] : [`Content-Type: ${returned}\n\n${ORIGINAL_HEADERS}\n\nHello Bob`]),
  ];
  return `Return-Path: <>
From: ${from}
To: b+abc@bounce.example.com
Subject: ${subject}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="==r"

${parts.map((part) => `--==r\n${part}\n`).join('\n')}
--==r--
`;
}

export const failed = (
  status: string,
  diagnostic: string,
  { recipient = BOB, action = 'failed' }: { recipient?: string; action?: string } = {},
): string =>
  `Final-Recipient: rfc822; ${recipient}\nAction: ${action}\nStatus: ${status}\nDiagnostic-Code: smtp; ${diagnostic}`;

/** A report in plain words only. */
export function letter(
  from: string,
  subject: string,
  body: string,
  {
    headers = '',
    charset = 'utf-8',
    copy = true,
  }: { headers?: string; charset?: string; copy?: boolean } = {},
): string {
  return `Return-Path: <>
From: ${from}
To: b+abc@bounce.example.com
Subject: ${subject}
${headers}MIME-Version: 1.0
Content-Type: text/plain; charset=${charset}
Content-Transfer-Encoding: 8bit

${body}${copy ? `\n\n${ORIGINAL_HEADERS}\n\nHello Bob\n` : '\n'}`;
}

const one = (name: string, verdict: SystemMail['verdict'], mail: string, recipients = [BOB]): SystemMail => ({
  name,
  verdict,
  mail,
  recipients,
});

const EXCHANGE_FROM = 'postmaster@example.net';

const exchange: SystemMail[] = [
  one(
    'Exchange Online: recipient not found',
    'hard',
    dsn({
      from: EXCHANGE_FROM,
      subject: 'Undeliverable: Weekly tips',
      words: `Delivery has failed to these recipients or groups:\n\n${BOB}<mailto:${BOB}>\nThe email address you entered couldn't be found. Please check the recipient's email address and try to resend the message.\n\nDiagnostic information for administrators:\n\nGenerating server: AB1PR01MB0001.example.net\n\n${BOB}\nRemote server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ${BOB} not found by SMTP address lookup'\n\nOriginal message headers:\n\n${ORIGINAL_HEADERS}`,
      fields: [
        failed(
          '5.1.10',
          `550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ${BOB} not found by SMTP address lookup`,
        ),
      ],
      mta: 'dns;AB1PR01MB0001.example.net',
    }),
  ),
  one(
    'Exchange Online: the group takes no mail from outside',
    'sender',
    dsn({
      from: EXCHANGE_FROM,
      subject: 'Undeliverable: Weekly tips',
      words: `Delivery has failed to these recipients or groups:\n\nBob (${BOB})\nYour message couldn't be delivered because you don't have permission to send to it.`,
      fields: [
        failed(
          '5.7.133',
          '550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed because the sender was not authenticated when sending to this group',
        ),
      ],
    }),
  ),
  one(
    'Exchange: quota of the mailbox',
    'soft',
    dsn({
      from: EXCHANGE_FROM,
      subject: 'Undeliverable: Weekly tips',
      words: `Delivery has failed to these recipients or groups:\n\nBob<mailto:${BOB}>\nThe recipient's mailbox is full and can't accept messages now.`,
      fields: [
        failed(
          '5.2.2',
          '554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed to process message due to a permanent exception',
        ),
      ],
    }),
  ),
  one(
    'Exchange of old, in plain words',
    'hard',
    letter(
      'System Administrator <postmaster@example.net>',
      'Undeliverable: Weekly tips',
      `Your message\n\n  To:      ${BOB}\n  Subject: Weekly tips\n  Sent:    Mon, 5 Jan 2026 09:00:00 +0000\n\ndid not reach the following recipient(s):\n\n${BOB} on Mon, 5 Jan 2026 09:00:05 +0000\n    The e-mail account does not exist at the organization this message was sent to.  Check the e-mail address, or contact the recipient directly to find out the correct address.\n    <mx.example.net #5.1.1>`,
      { copy: false },
    ),
  ),
  one(
    'Exchange: delivery is delayed',
    'ignore',
    dsn({
      from: EXCHANGE_FROM,
      subject: 'Delivery delayed:Weekly tips',
      words: `Delivery is delayed to these recipients or groups:\n\n${BOB}\n\nThis message hasn't been delivered yet. Delivery will continue to be attempted.`,
      fields: [
        'Final-Recipient: rfc822;bob@example.org\nAction: delayed\nStatus: 4.4.7\nWill-Retry-Until: Wed, 7 Jan 2026 09:00:00 +0000',
      ],
    }),
  ),
  one(
    'Exchange Online Protection: no such address behind the edge',
    'hard',
    dsn({
      words: `<${BOB}>: host mx.example.org[192.0.2.4] said: 550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [AB1EUR01FT001.example.net] (in reply to RCPT TO command)`,
      fields: [
        failed(
          '5.4.1',
          '550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [AB1EUR01FT001.example.net]',
        ),
      ],
    }),
  ),
  one(
    'Outlook.com: no such mailbox',
    'hard',
    dsn({
      words: `<${BOB}>: host mx.example.org[192.0.2.4] said: 550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). (in reply to RCPT TO command)`,
      fields: [failed('5.5.0', '550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).')],
    }),
  ),
  one(
    'Outlook.com: the network is on its list',
    'sender',
    dsn({
      words: `<${BOB}>: host mx.example.org[192.0.2.4] said: 550 5.7.1 Unfortunately, messages from [192.0.2.10] weren't sent. (in reply to MAIL FROM command)`,
      fields: [
        failed(
          '5.7.1',
          "550 5.7.1 Unfortunately, messages from [192.0.2.10] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).",
        ),
      ],
    }),
  ),
  one(
    'Outlook.com: authentication level',
    'sender',
    dsn({
      words: `<${BOB}>: 550 5.7.515 Access denied`,
      fields: [
        failed(
          '5.7.515',
          '550 5.7.515 Access denied, sending domain example.com does not meet the required authentication level. The sender must pass SPF, DKIM and DMARC.',
        ),
      ],
    }),
  ),
  one(
    'Exchange Online in German',
    'hard',
    dsn({
      from: EXCHANGE_FROM,
      subject: 'Unzustellbar: Weekly tips',
      words: `Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:\n\n${BOB}\nDie eingegebene E-Mail-Adresse konnte nicht gefunden werden.\n\nDiagnoseinformationen für Administratoren:\n\nGenerierender Server: AB1PR01MB0001.example.net`,
      fields: ['Final-Recipient: rfc822;bob@example.org\nAction: failed\nStatus: 5.1.1'],
    }),
  ),
];

const exim = (body: string, headers = `X-Failed-Recipients: ${BOB}\n`): string =>
  letter(
    'Mail Delivery System <Mailer-Daemon@mx.example.net>',
    'Mail delivery failed: returning message to sender',
    `This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  ${BOB}\n    ${body}\n\n------ This is a copy of the message, including all the headers. ------`,
    { headers: `${headers}Auto-Submitted: auto-replied\n` },
  );

const eximMails: SystemMail[] = [
  one('Exim: all MX point nowhere', 'hard', exim('all relevant MX records point to non-existent hosts')),
  one('Exim: unrouteable', 'hard', exim('Unrouteable address')),
  one(
    'Exim: refused at RCPT',
    'hard',
    exim(
      `host mx.example.org [192.0.2.4]\n    SMTP error from remote mail server after RCPT TO:<${BOB}>:\n    550 5.1.1 <${BOB}>: Recipient address rejected: User unknown in virtual mailbox table`,
    ),
  ),
  one(
    'Exim: a block list after the body',
    'sender',
    exim(
      'host mx.example.org [192.0.2.4]\n    SMTP error from remote mail server after end of data:\n    554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.example.net',
    ),
  ),
  one('Exim: retry time over', 'soft', exim('mx.example.org [192.0.2.4]\n    retry timeout exceeded')),
  one(
    'Exim: still trying',
    'ignore',
    letter(
      'Mail Delivery System <Mailer-Daemon@mx.example.net>',
      'Warning: message 1vcXyz-000001-AB delayed 24 hours',
      `This message was created automatically by mail delivery software.\nA message that you sent has not yet been delivered to one or more of its\nrecipients after more than 24 hours on the queue on mx.example.net.\n\nThe address to which the message has not yet been delivered is:\n\n  ${BOB}\n\nNo action is required on your part. Delivery attempts will continue for\nsome time, and this warning may be repeated at intervals if the message\nremains undelivered.`,
      { headers: 'Auto-Submitted: auto-replied\n', copy: false },
    ),
  ),
];

const qmail = (body: string): string =>
  letter(
    'MAILER-DAEMON@mx.example.net',
    'failure notice',
    `Hi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<${BOB}>:\n${body}\n\n--- Below this line is a copy of the message.\n`,
  );

const qmailMails: SystemMail[] = [
  one('qmail: no mailbox', 'hard', qmail('Sorry, no mailbox here by that name. (#5.1.1)')),
  one('qmail: no host', 'hard', qmail("Sorry, I couldn't find any host named example.org. (#5.1.2)")),
  one('qmail: over quota', 'soft', qmail('The users mailfolder is over the allowed quota (size). (#5.2.2)')),
  one(
    'qmail: never reached',
    'soft',
    qmail(
      "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\nI'm not going to try again; this message has been in the queue too long.",
    ),
  ),
];

const postfix: SystemMail[] = [
  one(
    'Postfix: name service',
    'hard',
    dsn({
      words: `<${BOB}>: Host or domain name not found. Name service error for\n    name=example.org type=AAAA: Host not found`,
      fields: [
        `Final-Recipient: rfc822; ${BOB}\nOriginal-Recipient: rfc822;${BOB}\nAction: failed\nStatus: 5.4.4\nDiagnostic-Code: X-Postfix; Host or domain name not found. Name service error\n    for name=example.org type=AAAA: Host not found`,
      ],
    }),
  ),
  one(
    'Postfix: null MX',
    'hard',
    dsn({
      words: `<${BOB}>: Domain example.org does not accept mail (nullMX)`,
      fields: [
        `Final-Recipient: rfc822; ${BOB}\nAction: failed\nStatus: 5.1.0\nDiagnostic-Code: X-Postfix; Domain example.org does not accept mail (nullMX)`,
      ],
    }),
  ),
  one(
    'Postfix: connection timed out for days',
    'soft',
    dsn({
      words: `<${BOB}>: connect to mx.example.org[192.0.2.4]:25: Connection timed out`,
      fields: [
        `Final-Recipient: rfc822; ${BOB}\nAction: failed\nStatus: 4.4.1\nDiagnostic-Code: X-Postfix; connect to mx.example.org[192.0.2.4]:25: Connection timed out`,
      ],
      returned: 'text/rfc822-headers',
    }),
  ),
  one(
    'Postfix: success',
    'ignore',
    dsn({
      subject: 'Successful Mail Delivery Report',
      words: `<${BOB}>: delivery via mx.example.org[192.0.2.4]:25: 250 2.0.0 Ok: queued as 4ABC`,
      fields: [failed('2.0.0', '250 2.0.0 Ok: queued as 4ABC', { action: 'relayed' })],
    }),
  ),
  one(
    'Postfix: one of three is dead',
    'hard',
    dsn({
      words: `<${BOB}>: 550 5.1.1 No such user\n\n<eve@example.org>: 452 4.2.2 mailbox full`,
      fields: [
        failed('5.1.1', '550 5.1.1 No such user'),
        failed('4.2.2', '452 4.2.2 mailbox full', { recipient: 'eve@example.org' }),
      ],
    }),
    [BOB, 'eve@example.org'],
  ),
];

export const ENTERPRISE_MAILS: readonly SystemMail[] = [...exchange, ...eximMails, ...qmailMails, ...postfix];
