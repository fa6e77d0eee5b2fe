/** The report a server makes of a mail of ours, with the mail itself in it. */
export function returnedMail(original: string, status: string, diagnostic: string): string {
  const to = /^To: .*?<?([^\s<>]+@[^\s<>]+)>?\r?$/m.exec(original)?.[1] ?? 'bob@example.org';
  return `Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
To: undisclosed-recipients:;
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="==returned"

--==returned
Content-Type: text/plain

<${to}>: host mx.example.org[192.0.2.4] said: ${diagnostic} (in reply to RCPT TO command)

--==returned
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; ${to}
Action: failed
Status: ${status}
Diagnostic-Code: smtp; ${diagnostic}

--==returned
Content-Type: message/rfc822

${original}
--==returned--
`;
}
