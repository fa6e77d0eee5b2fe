/** A mail of ours as its relay took it. */
export interface TakenMail {
  to: string;
  from: string;
  raw: string;
}

export interface OddReport {
  name: string;
  /** Where it is brought to; the return path of the mail when it is left out. */
  at?: 'fbl' | 'postmaster';
  /** What is written down of it about the mail. */
  said: string[];
  status: 'active' | 'bounced' | 'complained' | 'unsubscribed';
  mail: (about: TakenMail) => string;
}

const wrapped = (base64: string): string => base64.replace(/(.{76})/g, '$1\n');

const multipart = (head: string, type: string, parts: readonly string[]): string =>
  `${head}\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=${type}; boundary="==odd"\n\n${parts
    .map((part) => `--==odd\n${part}\n`)
    .join('\n')}\n--==odd--\n`;

const dsn = (head: string, text: string, fields: readonly string[], raw?: string): string =>
  multipart(`Return-Path: <>\n${head}`, 'delivery-status', [
    text,
    `Content-Type: message/delivery-status\n\n${fields.join('\n\n')}`,
    ...(raw === undefined ? [] : [`Content-Type: message/rfc822\n\n${raw}`]),
  ]);

const plain = (words: string): string => `Content-Type: text/plain; charset=utf-8\n\n${words}`;
const failed = (to: string, status: string, code: string): string =>
  `Final-Recipient: rfc822;${to}\nAction: failed\nStatus: ${status}\nDiagnostic-Code: ${code}`;

const EXCHANGE: OddReport[] = [
  {
    name: 'Exchange Online in German: the address was not found',
    said: ['hard user_unknown'],
    status: 'bounced',
    mail: ({ to, raw }) =>
      dsn(
        'From: <postmaster@example.onmicrosoft.example>\nTo: <ada@example.com>\nSubject: Unzustellbar: Ihr Leitfaden\nAuto-Submitted: auto-replied',
        `Content-Type: text/html; charset="utf-8"\n\n<html><body><p>Ihre Nachricht an <b>${to}</b> konnte nicht zugestellt werden.</p><p>${to.split('@')[0]} wurde in example.org nicht gefunden.</p><p>So beheben Sie das Problem: Die Adresse ist möglicherweise falsch geschrieben oder nicht vorhanden.</p><p>Ursprüngliche Nachrichtendetails</p></body></html>`,
        [
          'Reporting-MTA: dns;FR0P281MB0000.DEUP281.PROD.OUTLOOK.COM\nReceived-From-MTA: dns;mail.example.com',
          failed(
            to,
            '5.1.10',
            `smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ${to} not found by SMTP address lookup`,
          ),
        ],
        raw,
      ),
  },
  {
    name: 'Exchange in German, of which a gateway has left nothing but the words',
    said: ['hard user_unknown'],
    status: 'bounced',
    mail: ({ to }) =>
      `Return-Path: <>\nFrom: Microsoft Outlook <postmaster@example.org>\nSubject: Unzustellbar: Ihr Leitfaden\nContent-Type: text/plain; charset=utf-8\n\nFehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:\n\n${to}\nDie eingegebene E-Mail-Adresse konnte nicht gefunden werden. Überprüfen Sie die E-Mail-Adresse des Empfängers, und versuchen Sie, die Nachricht erneut zu senden.\n\nDiagnoseinformationen für Administratoren:\n\nGenerierender Server: mbx.example.org\n\n${to}\n#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\n`,
  },
  {
    name: 'Exchange Online in Japanese: the mailbox is full',
    said: ['soft mailbox_full'],
    status: 'active',
    mail: ({ to, raw }) =>
      dsn(
        'From: <postmaster@example.onmicrosoft.example>\nSubject: =?iso-2022-jp?B?GyRCR1s/LklURz0bKEI6IBskQiVSJXMlSBsoQg==?=',
        `Content-Type: text/plain; charset="iso-2022-jp"\nContent-Transfer-Encoding: base64\n\n${wrapped('GyRCJDMkTiVhJUMlOyE8JTgkTjx1Py48VCReJD8kTyUwJWshPCVXJFgkTkdbPy4kSzw6R1QkNyReJDckPxsoQjoKCmJvYkBleGFtcGxlLm9yZwobJEI8dT8uPFQkTiVhITwlayVcJUMlLyU5JCwkJCRDJFEkJCROJD8kYSEiOD06XyVhJUMlOyE8JTgkcjx1Py4kRyQtJF4kOyRzISM4ZSRHJGIkJjBsRVlBdz8uJDckRiQvJEAkNSQkISMbKEIKChskQjRJTX08VDh+JDEkTj9HQ0c+cEpzGyhCOgobJEJAOEAuJTUhPCVQITwbKEI6IFRZQVBSMDFNQjAwMDAuanBucHJkMDEucHJvZC5vdXRsb29rLmNvbQo=')}`,
        [
          'Reporting-MTA: dns;TYAPR01MB0000.jpnprd01.prod.outlook.com',
          failed(
            to,
            '5.2.2',
            'smtp;554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed to process message',
          ),
        ],
        raw,
      ),
  },
  {
    name: 'Exchange in Japanese, words alone: the address was not found',
    said: ['hard user_unknown'],
    status: 'bounced',
    mail: ({ to }) =>
      `Return-Path: <>\nFrom: <postmaster@example.org>\nSubject: =?utf-8?B?6YWN5L+h5LiN6IO9OiDjgqzjgqTjg4k=?=\nContent-Type: text/plain; charset=utf-8\n\n次の受信者またはグループへの配信に失敗しました:\n\n${to}\n入力した電子メール アドレスが見つかりませんでした。受信者の電子メール アドレスを確認し、メッセージを再送信してください。\n\n管理者向けの診断情報:\n生成サーバー: mbx.example.org\n\n${to}\nRemote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'\n`,
  },
];

const OTHERS: OddReport[] = [
  {
    name: 'Zimbra: over quota at its own mailbox server',
    said: ['soft mailbox_full'],
    status: 'active',
    mail: ({ to, raw }) =>
      dsn(
        'From: MAILER-DAEMON@zimbra.example.org (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied',
        plain(
          `This is the mail system at host zimbra.example.org.\n\n<${to}>: host mailbox.example.org[10.0.0.7] said: 552 5.2.2 Over quota (in\n    reply to end of DATA command)`,
        ),
        [
          'Reporting-MTA: dns; zimbra.example.org\nX-Postfix-Queue-ID: 4XyZ',
          failed(to, '5.2.2', 'smtp; 552 5.2.2 Over quota'),
        ],
        raw,
      ),
  },
  {
    name: 'Lotus Domino: a loop in its own routing',
    said: ['soft network_error'],
    status: 'active',
    mail: ({ to, raw }) =>
      dsn(
        'From: Postmaster@example.org\nSubject: DELIVERY FAILURE: Error transferring to MAIL2.EXAMPLE.ORG; Maximum hop count exceeded.  Message probably in a routing loop.\nX-Mailer: Lotus Domino',
        plain(
          `Your message\n\n  Subject: Your guide\n\nwas not delivered to:\n\n  ${to}\n\nbecause:\n\n  Error transferring to MAIL2.EXAMPLE.ORG; Maximum hop count exceeded.  Message probably in a routing loop.`,
        ),
        [
          'Reporting-MTA: dns;domino.example.org',
          failed(
            to,
            '5.0.0',
            'X-Notes; Error transferring to MAIL2.EXAMPLE.ORG; Maximum hop count exceeded.  Message probably in a routing loop.',
          ),
        ],
        raw,
      ),
  },
  {
    name: 'Lotus Domino in German: nobody in its directory',
    said: ['hard user_unknown'],
    status: 'bounced',
    mail: ({ to }) =>
      `Return-Path: <>\nFrom: Postmaster@example.org\nSubject: ZUSTELLFEHLER: Benutzer ${to.split('@')[0]} (${to}) nicht im Domino-Verzeichnis aufgelistet\nX-Mailer: Lotus Domino\nContent-Type: text/plain; charset=utf-8\n\nIhr Dokument:  Ihr Leitfaden\n\nkonnte nicht zugestellt werden an:  ${to}\n\nda:\n\n  Benutzer ${to.split('@')[0]} (${to}) nicht im Domino-Verzeichnis aufgelistet\n`,
  },
  {
    name: 'qmail with three recipients, of whom another one is dead and ours is over quota',
    said: ['soft mailbox_full'],
    status: 'active',
    mail: ({ to, raw }) =>
      `Return-Path: <>\nFrom: MAILER-DAEMON@lists.example.net\nSubject: failure notice\n\nHi. This is the qmail-send program at lists.example.net.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<gone@example.net>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n<${to}>:\n192.0.2.4 failed after I sent the message.\nRemote host said: 552 5.2.2 user is over quota\n\n<left@example.net>:\nThis address no longer accepts mail.\n\n--- Below this line is a copy of the message.\n\n${raw}`,
  },
  {
    name: 'a Google group that takes no mail from us',
    said: ['sender sender_rejected'],
    status: 'active',
    mail: ({ to, raw }) =>
      dsn(
        'From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nSubject: Delivery Status Notification (Failure)\nAuto-Submitted: auto-replied',
        plain(
          `Hello ada@example.com,\n\nWe're writing to let you know that the group you tried to contact (${to.split('@')[0]}) may not exist, or you may not have permission to post messages to the group. A few more details on why you weren't able to post:\n\n * You might have spelled or formatted the group name incorrectly.\n * The owner of the group may have removed this group.\n * You may need to join the group before receiving permission to post.\n * This group may not be open to posting.`,
        ),
        [
          'Reporting-MTA: dns; googlemail.com',
          failed(
            to,
            '5.7.1',
            `smtp; The group you tried to contact (${to.split('@')[0]}) may not exist, or you may not have permission to post messages to the group.`,
          ),
        ],
        raw,
      ),
  },
  {
    name: 'somebody who is away, in Japanese (RFC 3834)',
    said: [],
    status: 'active',
    mail: ({ to }) =>
      `Return-Path: <>\nFrom: Bob <${to}>\nSubject: =?utf-8?B?6Ieq5YuV5b+c562UOiDjgYrlsYrjgZHjgZfjgZ/jgqzjgqTjg4k=?=\nAuto-Submitted: auto-replied; owner-email="${to}"\nPrecedence: bulk\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n${wrapped('44Gf44Gg44GE44G+5LyR5pqH5Lit44Gn44GZ44CC44Oh44O844Or44Oc44OD44Kv44K544Gu5a656YeP6LaF6YGO44Gr44GU5rOo5oSP44GP44Gg44GV44GE44CC')}\n`,
  },
  {
    name: 'two hundred recipients of an alias, ours in the middle and over quota',
    said: ['soft mailbox_full'],
    status: 'active',
    mail: ({ to, raw }) =>
      dsn(
        'From: MAILER-DAEMON@mx.example.net\nSubject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied',
        plain('The mail system could not deliver to 200 recipients; the report below names them.'),
        [
          'Reporting-MTA: dns; mx.example.net',
          ...Array.from({ length: 200 }, (_, at) =>
            at === 120
              ? failed(to, '5.2.2', 'smtp; 552 5.2.2 Mailbox full')
              : failed(`member${at}@example.net`, '5.1.1', 'smtp; 550 5.1.1 no such user'),
          ),
        ],
        raw,
      ),
  },
  {
    name: 'members of a list that our reader is, some of them dead',
    said: ['soft user_unknown'],
    status: 'active',
    mail: ({ raw }) =>
      dsn(
        'From: MAILER-DAEMON@mx.example.net\nSubject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied',
        plain('Two members could not be reached.'),
        [
          'Reporting-MTA: dns; mx.example.net',
          failed('member1@example.net', '5.1.1', 'smtp; 550 5.1.1 no such user'),
          failed('member2@example.net', '5.1.1', 'smtp; 550 5.1.1 no such user'),
        ],
        raw,
      ),
  },
];

const COMPLAINTS: OddReport[] = [
  {
    name: 'Yahoo, with the recipient left out',
    at: 'fbl',
    said: ['complaint abuse'],
    status: 'complained',
    mail: ({ from, raw, to }) =>
      multipart(
        'From: Yahoo! Mail AntiSpam Feedback <feedback@arf.mail.yahoo.com>\nTo: fbl@bounce.example.com\nSubject: FW: Your guide',
        'feedback-report',
        [
          plain('This is an email abuse report for an email message from example.com'),
          `Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: Yahoo!-Mail-Feedback/2.0\nVersion: 0.1\nOriginal-Mail-From: <${from}>\nOriginal-Rcpt-To: <redacted>\nReported-Domain: example.com\nAuthentication-Results: atlas.example.net; dkim=pass (ok) header.d=example.com`,
          `Content-Type: message/rfc822\nContent-Disposition: inline\n\nX-Originating-Ip: [192.0.2.10]\nReturn-Path: <${from}>\n${raw.replaceAll(to, 'redacted@example.org')}`,
        ],
      ),
  },
  {
    name: 'Microsoft’s Junk Mail Reporting, with the recipient left out',
    at: 'fbl',
    said: ['complaint abuse'],
    status: 'complained',
    mail: ({ from, raw, to }) =>
      `From: staff@hotmail.com\nTo: fbl@bounce.example.com\nSubject: complaint about message from 192.0.2.10\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="==odd"\n\n--==odd\nContent-Type: text/plain; charset=us-ascii\n\n\n--==odd\nContent-Type: message/rfc822\nContent-Disposition: inline\n\nX-HmXmrOriginalRecipient: redacted\nX-Originating-IP: [192.0.2.10]\nReturn-Path: ${from}\n${raw.replaceAll(to, 'redacted')}\n--==odd--\n`,
  },
];

/** Machines' accounts of a whole day, which land where nobody has told them another address. */
const SUMMARIES: OddReport[] = [
  {
    name: 'a TLS report (RFC 8460)',
    said: [],
    status: 'active',
    mail: () =>
      multipart(
        'Return-Path: <>\nFrom: noreply-smtp-tls-reporting@google.com\nTLS-Report-Domain: bounce.example.com\nTLS-Report-Submitter: google.com\nSubject: Report Domain: bounce.example.com Submitter: google.com Report-ID: <2026.01.05T00.00.00Z+bounce.example.com@google.com>',
        'tlsrpt',
        [
          plain(
            'This is an aggregate TLS report from google.com. Contact smtp-tls-reporting@google.com with questions. 2 sessions failed.',
          ),
          'Content-Type: application/tlsrpt+gzip; name="google.com!bounce.example.com!1767571200!1767657599!001.json.gz"\nContent-Transfer-Encoding: base64\n\nH4sIAAAAAAAAA6tWKkotLs0pUbJSMlSqBQBRSqDLEAAAAA==',
        ],
      ),
  },
  {
    name: 'a DMARC aggregate report (RFC 9990)',
    said: [],
    status: 'active',
    mail: ({ to }) =>
      `Return-Path: <>\nFrom: noreply-dmarc-support@google.com\nTo: b@bounce.example.com\nSubject: Report domain: bounce.example.com Submitter: google.com Report-ID: 1234567890\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="==odd"\n\n--==odd\nContent-Type: text/plain\n\nThis is a DMARC aggregate report from ${to.split('@')[1]}. 3 messages failed authentication. Contact dmarc@google.com.\n--==odd\nContent-Type: application/gzip; name="google.com!bounce.example.com!1767571200!1767657599.xml.gz"\nContent-Transfer-Encoding: base64\n\nH4sIAAAAAAAAA6tWKkotLs0pUbJSMlSqBQBRSqDLEAAAAA==\n--==odd--\n`,
  },
];

export const ODD_REPORTS: readonly OddReport[] = [
  ...EXCHANGE,
  ...OTHERS,
  ...COMPLAINTS,
  ...SUMMARIES,
  ...SUMMARIES.map((one): OddReport => ({ ...one, name: `${one.name} to the postmaster`, at: 'postmaster' })),
];
