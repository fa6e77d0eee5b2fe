import { dsn, failed, letter, type SystemMail } from './mail-systems.js';

const BOB = 'bob@example.org';
const one = (name: string, verdict: SystemMail['verdict'], mail: string, recipients = [BOB]): SystemMail => ({
  name,
  verdict,
  mail,
  recipients,
});

/** What a relay's Postfix reports of another server's refusal. */
const said = (
  name: string,
  verdict: SystemMail['verdict'],
  status: string,
  reply: string,
  at: string | null = 'RCPT TO command',
): SystemMail =>
  one(
    name,
    verdict,
    dsn({
      words: `This is the mail system at host mx.example.net.\n\n<${BOB}>: host mx.example.org[192.0.2.4] said: ${reply}${at === null ? '' : ` (in reply to ${at})`}`,
      fields: [`${failed(status, reply)}\nRemote-MTA: dns; mx.example.org`],
      returned: 'text/rfc822-headers',
    }),
  );

const google: SystemMail[] = [
  one(
    'Gmail: address not found',
    'hard',
    dsn({
      from: 'Mail Delivery Subsystem <mailer-daemon@mail.example.net>',
      subject: 'Delivery Status Notification (Failure)',
      words: `** Address not found **\n\nYour message wasn't delivered to ${BOB} because the address couldn't be found, or is unable to receive mail.\n\nThe response was:\n\n550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. d2e1a72fcca58-7a1 - gsmtp`,
      html: '<html><body><h2>Address not found</h2></body></html>',
      fields: [
        failed(
          '5.1.1',
          "550-5.1.1 The email account that you tried to reach does not exist. Please try\n 550-5.1.1 double-checking the recipient's email address for typos or\n 550 5.1.1 unnecessary spaces. d2e1a72fcca58-7a1 - gsmtp",
        ),
      ],
      mta: 'dns; mail.example.net',
    }),
  ),
  said(
    'Gmail: unauthenticated',
    'sender',
    '5.7.26',
    '550-5.7.26 Your email has been blocked because the sender is unauthenticated. 550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM. 550 5.7.26 SPF [example.com] with ip: [192.0.2.10] = did not pass - gsmtp',
    'end of DATA command',
  ),
  said(
    'Gmail: out of storage',
    'soft',
    '5.2.2',
    "552-5.2.2 The recipient's inbox is out of storage space. Please direct the recipient to clear space. - gsmtp",
  ),
  said(
    'Gmail: inbox full, said with 4',
    'soft',
    '4.2.2',
    "452-4.2.2 The recipient's inbox is out of storage space and inactive. - gsmtp",
  ),
  said(
    'Gmail: disabled account',
    'soft',
    '5.2.1',
    '550 5.2.1 The email account that you tried to reach is disabled. - gsmtp',
  ),
  said(
    'Gmail: low reputation of the domain',
    'sender',
    '5.7.1',
    '550-5.7.1 [192.0.2.10 19] Gmail has detected that this message is likely suspicious due to the very low reputation of the sending domain. 550 5.7.1 To best protect our users from spam, the message has been blocked. - gsmtp',
    'end of DATA command',
  ),
  one(
    'Gmail in German',
    'hard',
    dsn({
      from: 'Mail Delivery Subsystem <mailer-daemon@mail.example.net>',
      subject: 'Delivery Status Notification (Failure)',
      words: `** Die Adresse wurde nicht gefunden **\n\nIhre Nachricht wurde nicht an ${BOB} zugestellt, weil die Adresse nicht gefunden wurde oder keine E-Mails empfangen kann.`,
      fields: [
        failed('5.1.1', '550 5.1.1 The email account that you tried to reach does not exist. - gsmtp'),
      ],
      returned: 'none',
    }),
  ),
];

const mailboxProviders: SystemMail[] = [
  one(
    // Which command was answered is not said: it may be a filter, which waits for the body. Counted, not given up.
    'Yahoo in its own words',
    'soft',
    letter(
      'MAILER-DAEMON@mx.example.net',
      'Failure Notice',
      `Sorry, we were unable to deliver your message to the following address.\n\n<${BOB}>:\n552: 1 Requested mail action aborted, mailbox not found\n\n--- Below this line is a copy of the message.\n`,
    ),
  ),
  said(
    'Yahoo: policy',
    'sender',
    '5.7.9',
    '554 5.7.9 Message not accepted for policy reasons. See https://help.example.net/kb/SLN7253.html',
    'end of DATA command',
  ),
  said(
    'Yahoo: complaints',
    'sender',
    '4.7.0',
    '421 4.7.0 [TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1',
    'MAIL FROM command',
  ),
  said(
    // After the body it is no directory that speaks.
    'Yahoo: no such account, after the body',
    'soft',
    '5.5.0',
    "554 delivery error: dd This user doesn't have a example.org account (bob@example.org) [0] - mta4001.example.net",
    'end of DATA command',
  ),
  said('iCloud: over quota', 'soft', '5.2.2', '552 5.2.2 <bob@example.org>: user is over quota'),
  said('iCloud: gone', 'hard', '5.1.6', '550 5.1.6 <bob@example.org>: recipient no longer on server'),
  one(
    'Zoho',
    'hard',
    letter(
      'mailer-daemon@mail.example.net',
      'Undelivered Mail Returned to Sender',
      `This message was created automatically by mail delivery software.\nA message that you sent could not be delivered to one or more of its recipients. This is a permanent error.\n\n${BOB} Invalid Recipient, ERROR CODE :550 - 5.1.1 User does not exist - <${BOB}>\n\nReceived:from mail.example.com by mx.example.net`,
      { copy: false },
    ),
  ),
  said(
    'GMX: mailbox unavailable',
    'hard',
    '5.0.0',
    '550 Requested action not taken: mailbox unavailable. For explanation visit https://postmaster.example.net/error-messages?ip=192.0.2.10&c=hu',
  ),
  said(
    'GMX: policy',
    'sender',
    '5.0.0',
    '554-Transaction failed. 554-Reject due to policy restrictions. 554 For explanation visit https://postmaster.example.net/case?c=r0301',
    'end of DATA command',
  ),
  said(
    'T-Online: spam',
    'sender',
    '5.7.0',
    '550-5.7.0 Message considered as spam or virus, rejected 550-5.7.0 Message rejected because it was considered as spam',
    'end of DATA command',
  ),
  said(
    'Orange: invalid recipient',
    'hard',
    '5.1.1',
    '550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]',
  ),
  said(
    'Orange: over quota, said with 5.1.1',
    'soft',
    '5.1.1',
    '552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]',
  ),
  said('163: not found', 'hard', '5.0.0', '550 User not found: bob@example.org'),
  said(
    'QQ: not found',
    'hard',
    '5.0.0',
    '550 Mailbox not found. http://service.example.net/cgi-bin/help?id=20022',
  ),
  said(
    'QQ: too often',
    'sender',
    '5.0.0',
    '550 Ip frequency limited [xyz IP: 192.0.2.10]. http://service.example.net',
    'MAIL FROM command',
  ),
  said(
    'mail.ru: no such user',
    'hard',
    '5.0.0',
    '550 Message was not accepted -- invalid mailbox.  Local mailbox bob@example.org is unavailable: user not found',
  ),
  said('docomo', 'hard', '5.0.0', '550 Unknown user bob@example.org'),
];

const gateways: SystemMail[] = [
  said(
    'Mimecast: invalid recipient',
    'hard',
    '5.0.0',
    '550 Invalid Recipient - https://community.example.net/docs/DOC-1369#550 [cnHTpzVGPRaKz1.uk1]',
  ),
  said(
    'Mimecast: poor reputation',
    'sender',
    '5.0.0',
    '550 csi.example.net Poor Reputation Sender. - https://community.example.net/docs/DOC-1369#550 [abc.uk1]',
    'MAIL FROM command',
  ),
  said(
    'Mimecast: blocked by the customer',
    'sender',
    '5.0.0',
    '550 Rejected by header based manually Blocked Senders: ada@example.com (mail.example.com) - https://community.example.net/docs/DOC-1369#550',
    'end of DATA command',
  ),
  said(
    'Proofpoint: blocked address',
    'sender',
    '5.7.1',
    '554 Blocked - see https://ipcheck.example.net/?ip=192.0.2.10',
    null,
  ),
  said('Proofpoint: unknown', 'hard', '5.1.1', '550 5.1.1 User Unknown'),
  said(
    'Barracuda: blocked',
    'sender',
    '5.0.0',
    '550 permanent failure for one or more recipients (bob@example.org:blocked)',
    'end of DATA command',
  ),
  said(
    'Cisco ESA: reputation',
    'sender',
    '5.0.0',
    "554-esa1.example.org 554 Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you believe that this failure is in error, please contact the intended recipient via alternate means.",
    null,
  ),
  said(
    'SpamAssassin at the gate',
    'sender',
    '5.7.1',
    '550 5.7.1 Blocked by SpamAssassin',
    'end of DATA command',
  ),
  one(
    'Amazon SES',
    'hard',
    dsn({
      from: 'MAILER-DAEMON@ses.example.net',
      subject: 'Delivery Status Notification (Failure)',
      words: `An error occurred while trying to deliver the mail to the following recipients:\n${BOB}`,
      fields: [failed('5.1.1', '550 5.1.1 user unknown')],
      mta: 'dns; a1-2.smtp-out.example.net',
    }),
  ),
  one(
    'PowerMTA: spam-related',
    'sender',
    dsn({
      words: `Hello, this is the mail server on mx.example.net.\n\nFailed recipient: <${BOB}>\nReason: remote server refused the message`,
      fields: [
        `Final-Recipient: rfc822;${BOB}\nAction: failed\nStatus: 5.3.0 (other or undefined mail system status)\nRemote-MTA: dns;mx.example.org (192.0.2.4)\nDiagnostic-Code: smtp;554 message refused\nX-PowerMTA-BounceCategory: spam-related`,
      ],
    }),
  ),
];

const transcript = (asked: string, reply: string): string =>
  `The original message was received at Mon, 5 Jan 2026 09:00:00 GMT\nfrom mail.example.com [192.0.2.10]\n\n   ----- The following addresses had permanent fatal errors -----\n<${BOB}>\n    (reason: ${reply})\n\n   ----- Transcript of session follows -----\n... while talking to mx.example.org.:\n>>> ${asked}\n<<< ${reply}`;

const sendmail: SystemMail[] = [
  one(
    'Sendmail: unknown user',
    'hard',
    dsn({
      subject: 'Returned mail: see transcript for details',
      words: `${transcript(`RCPT To:<${BOB}>`, `550 5.1.1 <${BOB}>... User unknown`)}\n550 5.1.1 <${BOB}>... User unknown`,
      fields: [failed('5.1.1', `550 5.1.1 <${BOB}>... User unknown`)],
    }),
  ),
  one(
    'Sendmail: the sender is refused',
    'sender',
    dsn({
      subject: 'Returned mail: see transcript for details',
      words: `${transcript('MAIL From:<b+abc@bounce.example.com>', '553 5.1.8 Domain of sender address bounce.example.com does not exist')}\n501 5.6.0 Data format error`,
      fields: [failed('5.1.8', '553 5.1.8 Domain of sender address bounce.example.com does not exist')],
    }),
  ),
  one(
    'Sendmail: four hours',
    'ignore',
    dsn({
      subject: 'Warning: could not send message for past 4 hours',
      words: `    **********************************************\n    **      THIS IS A WARNING MESSAGE ONLY      **\n    **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **\n    **********************************************\n\n   ----- Transcript of session follows -----\n<${BOB}>... Deferred: Connection timed out with mx.example.org.`,
      fields: [failed('4.4.1', '451 4.4.1 Connection timed out', { action: 'delayed' })],
    }),
  ),
  said('moved away', 'hard', '5.1.6', '551 5.1.6 User has moved; please try <bob@example.net>'),
  said(
    'greylisted to the end',
    'soft',
    '4.2.0',
    '450 4.2.0 <bob@example.org>: Recipient address rejected: Greylisted, see http://postgrey.example.net/help',
  ),
];

const localized: SystemMail[] = [
  one(
    'Spanish words only',
    'hard',
    letter(
      'Mail Delivery System <MAILER-DAEMON@mx.example.net>',
      'No se ha podido entregar el mensaje',
      `No se pudo entregar su mensaje a los siguientes destinatarios:\n\n${BOB}\n\nLa respuesta del servidor fue:\n550 5.1.1 El usuario no existe`,
    ),
  ),
  one(
    'French words only, a full mailbox',
    'soft',
    letter(
      'Mail Delivery System <MAILER-DAEMON@mx.example.net>',
      'Message non distribué',
      `Votre message n'a pas pu être remis à :\n\n<${BOB}>\n\nLa boîte aux lettres du destinataire est pleine (552 5.2.2).`,
    ),
  ),
  one(
    'Russian words only',
    'hard',
    letter(
      'mailer-daemon@mx.example.net',
      'Недоставленное сообщение',
      `Это письмо создано автоматически сервером.\n\nК сожалению, Ваше письмо не может быть доставлено одному или нескольким получателям:\n\n${BOB}\n550 5.1.1 Пользователь не найден`,
    ),
  ),
  one(
    'Dutch vacation note',
    'ignore',
    letter('Bob <bob@example.org>', 'Afwezig: Weekly tips', 'Ik ben met vakantie tot maandag.', {
      headers: 'Auto-Submitted: auto-replied\n',
      copy: false,
    }),
  ),
];

export const PROVIDER_MAILS: readonly SystemMail[] = [
  ...google,
  ...mailboxProviders,
  ...gateways,
  ...sendmail,
  ...localized,
];
