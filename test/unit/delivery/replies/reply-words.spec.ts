import { describe, expect, it } from 'vitest';
import { classifyReply } from '../../../../src/delivery/replies/reply-class.js';

/** Answers to RCPT that say there is nobody, or no host, as servers word it. */
const NOBODY_THERE = `
550 5.1.1 <bob@example.org>: Recipient address rejected: User unknown in local recipient table
550 5.1.1 <bob@example.org>: Recipient address rejected: User unknown in relay recipient table
550 5.1.1 <bob@example.org>: Recipient address rejected: undeliverable address: host mx.example.org said: 550 no mailbox by that name is currently available
550 5.1.1 <bob@example.org> User doesn't exist: bob@example.org
550 5.1.1 unknown or illegal alias: bob@example.org
550 5.1.1 Sorry, no mailbox here by that name. vpopmail (#5.1.1)
550 <bob@example.org> is not a valid mailbox
550 5.1.1 bob@example.org... No such user here
550 No Such User Here
550-5.1.1 The email account that you tried to reach does not exist
550 RCPT TO:<bob@example.org> User unknown
511 sorry, no mailbox here by that name (#5.1.1 - chkuser)
550 5.1.1 Mailbox does not exist
550 Invalid recipient <bob@example.org> (#5.1.1)
550 5.1.1 Unknown recipient
550 5.1.1 <bob@example.org> recipient not found
550 5.1.1 RESOLVER.ADR.RecipNotFound; not found
550 5.4.300 Message expired -> 550 5.1.1 user unknown
550 5.1.2 The recipient domain example.org does not exist
550 5.1.1 unknown user <bob@example.org>
550 Account bob@example.org does not exist
550 5.1.1 No such account
550 unrouteable address
550 5.1.1 This address does not exist
550 5.1.1 bob@example.org is not known here
550 5.1.6 bob@example.org no longer works here
550 5.1.1 <bob@example.org>: Email address could not be found, or was misspelled (G8)
550 5.1.1 bob@example.org Address unknown
550 5.1.10 Recipient address has null MX
556 5.1.10 <bob@example.org>: Recipient address rejected: Domain example.org does not accept mail (nullMX)
550 5.1.1 Destinataire inconnu
550 5.1.1 Benutzer unbekannt
550 5.1.1 Usuario desconocido
550 5.1.1 <bob@example.org>: utente sconosciuto
550 5.1.1 Requested action not taken: mailbox unavailable
550 5.1.1 Not our Customer
550 5.1.1 Invalid mailbox: bob@example.org
550 5.1.1 Delivery is not allowed to this address: bob@example.org does not exist
550 5.1.1 <bob@example.org> Rejected: no such recipient
550 5.1.1 User is unknown {mx001}
550 5.1.1 user not found
550 5.1.1 <bob@example.org>: account closed
550 5.2.1 This account is no longer valid
550 5.1.1 The user you are trying to contact is not a subscriber
550 5.1.1 <bob@example.org> : Recipient address rejected: not found in directory
550 5.1.1 Mailbox <bob@example.org> does not exist
550 5.4.4 Unable to route: no mail hosts for domain
550 5.4.4 [internal] Domain Lookup Failed
550 5.1.2 Host unknown (Name server: example.org: host not found)
550 5.1.0 Address rejected bob@example.org
550 5.1.0 <bob@example.org>: User unknown in virtual alias table
550 RESOLVER.ADR.ExRecipNotFound; not found
550 5.1.1 sorry, that address is not in my control file
550 5.1.1 Mailbox unknown. Either there is no mailbox associated with this name or you do not have authorization to see it.
`;
/** Answers that must cost nobody their address, whenever they come: about the sender, the mail, the moment or a filter. */
const NOT_THE_ADDRESS = `
553 sorry, this recipient is not in my validrcptto list (#5.7.1)
550 5.7.1 Service unavailable; client [192.0.2.1] blocked using b.example.net
550 5.7.1 Mail from 192.0.2.1 rejected: see http://example.net
554 5.7.1 <bob@example.org>: Relay access denied
550 5.7.1 <bob@example.org>: Recipient address rejected: Please see http://www.openspf.net/Why
550 5.7.1 Message contains spam or virus or sender is blocked : 8003:
550 5.7.1 Access denied
554 5.7.1 You are not allowed to connect.
550 5.7.1 Command rejected
550 5.7.606 Access denied, banned sending IP [192.0.2.1]
550 5.7.511 Access denied, banned sender[192.0.2.1]
550 5.7.23 The message was rejected because of Sender Policy Framework violation
550 5.2.0 mail rejected by recipient's filter
550 This message was classified as SPAM
550 Blocked by user settings
550 Sender rejected - domain does not exist
553 5.1.8 <ada@example.com>... Domain of sender address ada@example.com does not exist
550 5.1.7 Invalid sender address
550 5.5.1 Protocol error
550 5.6.0 Lone CR or LF in body (see RFC2822 section 2.3)
550 Administrative prohibition
550 5.7.1 Unable to deliver to bob@example.org due to a content policy
552 5.3.4 Message size exceeds fixed limit
552 5.2.3 Message length exceeds administrative limit
550 5.2.2 <bob@example.org>: Recipient address rejected: Mailbox is full
452 4.2.2 Over quota
550 5.2.1 Mailbox has been blocked due to inactivity
550 5.2.1 mailbox disabled
550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered
450 4.2.1 <bob@example.org>: Recipient address rejected: Greylisted for 5 minutes
451 4.7.1 Please try again later
421 4.7.0 Too many concurrent SMTP connections
550 Too many invalid recipients
550 5.4.5 Daily sending quota exceeded
550 5.4.6 Routing loop detected
554 5.4.6 Too many hops
554 5.4.7 Delivery expired (message too old)
550 4.4.7 QUEUE.Expired; message expired
550 5.4.316 Message expired, connection refused(Socket error code 10061)
550 5.3.2 system not accepting messages
550 5.3.0 Error: too much mail from you
554 Transaction failed, bad IP address in HELO
550 Verification failed for <ada@example.com> Previous attempt to verify failed: Sender verify failed
550 5.7.25 The IP address sending this message does not have a PTR record
550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)
550 your host name does not match
554 5.7.1 reject: header X-Mailer
550 5.7.0 Local Policy Violation
550 5.7.1 DMARC policy
550 Mail appears to be unsolicited
550 5.7.1 URL in this email is listed on surbl
550 5.7.133 Sender not authenticated for group
550 5.7.124 Sender not in allowed-senders list
550 5.7.129 RESOLVER.RST.RestrictedToRecipientsPermission; not authorized
550 The mail server detected your message as spam and has prevented delivery.
551 5.7.1 The message has been rejected because it contains prohibited virus or spam content
554 5.7.1 Rejected 192.0.2.1 found in dnsbl
554 5.7.5 Permanent Error Evaluating DMARC policy
550 High probability of spam
550 5.7.350 Remote server returned message detected as spam -> 550 Message Blocked
550 5.0.350 Remote server returned an error -> 550 Administrative prohibition
`;
const lines = (text: string): string[] => text.trim().split('\n');
const reply = (text: string) => ({ text, replyCode: Number(text.slice(0, 3)) });

describe('the words of mail servers', () => {
  it.each(lines(NOBODY_THERE))('give up the address at RCPT: %s', (text) => {
    expect(classifyReply({ ...reply(text), stage: 'rcpt' }).verdict).toBe('hard');
  });

  it.each(lines(NOT_THE_ADDRESS))('never give up the address: %s', (text) => {
    for (const stage of ['connect', 'mail', 'rcpt', 'data', 'body', null] as const) {
      expect([stage, classifyReply({ ...reply(text), stage }).verdict]).not.toEqual([stage, 'hard']);
    }
  });
});
