import { describe, expect, it } from 'vitest';
import { classifyReply, smtpConsequence } from '../../../../src/delivery/replies/reply-class.js';

const judge = (text: string) => {
  const { verdict, reason } = classifyReply({
    text,
    replyCode: Number(/^\d{3}/.exec(text)?.[0] ?? 0) || null,
  });
  return `${verdict} ${reason}`;
};

describe('a reply is judged by its reason', () => {
  it.each([
    ['550 5.1.1 <someone@example.com>: Recipient address rejected: User unknown', 'hard user_unknown'],
    ['450 4.1.1 No such user here', 'hard user_unknown'],
    [
      '550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.',
      'soft mailbox_busy',
    ],
    ['450 4.2.1 The user you are trying to contact is receiving mail too quickly.', 'soft mailbox_busy'],
    ["554 5.2.122 The recipient's per hour message receive limit was exceeded", 'soft mailbox_busy'],
    ['432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded', 'soft mailbox_busy'],
    ['452 4.2.2 The recipient has exceeded its daily limit of incoming messages', 'soft mailbox_busy'],
    [
      "552 5.2.2 The recipient's mailbox is full and cannot receive messages, over quota",
      'soft mailbox_full',
    ],
    ['452 4.2.2 The mailbox is over quota, incoming mail is beyond its limit', 'soft mailbox_full'],
    ['552 5.2.2 The mailbox cannot receive mail: quota exceeded', 'soft mailbox_full'],
    ['452 4.3.1 Insufficient disk space', 'soft system_error'],
    ['550 5.7.1 Your daily sending limit is exceeded', 'sender rate_limited'],
    ['550 5.4.5 Daily user sending quota exceeded', 'sender rate_limited'],
    ['452 4.5.3 Too many recipients received this hour', 'sender rate_limited'],
    ['451 4.7.1 Too many messages for this recipient from your address', 'sender rate_limited'],
    ['550 5.1.2 Host unknown', 'hard host_unknown'],
    ['551 5.1.6 The recipient has moved', 'hard moved'],
    ['556 5.1.10 Recipient address has null MX', 'hard no_mail_accepted'],
    ['552 5.2.2 Mailbox is full', 'soft mailbox_full'],
    ['550 5.2.1 This account has been disabled', 'soft suspended'],
    ['451 4.7.1 Greylisted, come back in five minutes', 'soft greylisted'],
    ['550 5.7.26 Neither SPF nor DKIM passed', 'sender auth_failure'],
    [
      '550 5.7.515 Access denied, sending domain does not meet the required authentication level',
      'sender auth_failure',
    ],
    ['554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org', 'sender blocked'],
    ['550 5.7.1 very low reputation of the sending domain', 'sender bad_reputation'],
    ['554 5.7.1 Relay access denied', 'sender relay_denied'],
    ['550 5.1.8 Sender address rejected: Domain not found', 'sender sender_rejected'],
    ['421 4.7.0 Too many messages from your address, slow down', 'sender rate_limited'],
    ['550 5.7.1 Message classified as spam', 'sender spam'],
    ['552 5.3.4 Message size exceeds fixed limit', 'soft too_large'],
    ['550 Ouch', 'soft unclear'],
  ])('%s: %s', (text, expected) => {
    expect(judge(text)).toBe(expected);
  });

  it('the status counts where the words say nothing', () => {
    expect(classifyReply({ status: '5.2.2', text: 'failed' })).toEqual({
      verdict: 'soft',
      reason: 'mailbox_full',
    });
    expect(classifyReply({ status: '5.7.999', text: '' })).toEqual({ verdict: 'sender', reason: 'policy' });
  });

  it('words inside an address say nothing', () => {
    expect(judge('550 5.1.1 <spam-does-not-exist@blocked.example> User unknown')).toBe('hard user_unknown');
  });

  it('"user unknown" after the body is a filter: the address may live', () => {
    const reply = { status: '5.1.1', replyCode: 550, text: '550 5.1.1 User unknown' };
    expect(classifyReply({ ...reply, stage: 'body' }).verdict).toBe('soft');
    expect(classifyReply({ ...reply, stage: 'rcpt' }).verdict).toBe('hard');
  });
});

describe('during SMTP', () => {
  it.each([
    [450, 'rcpt', '4.1.1 User unknown', 'retry'],
    [421, 'connect', '4.7.0 Too many connections', 'retry'],
    [550, 'rcpt', '5.1.1 User unknown', 'person'],
    [552, 'rcpt', '5.2.2 Mailbox full', 'person'],
    [550, 'rcpt', '5.7.1 Blocked, see spamhaus', 'sender'],
    [550, 'mail', '5.1.1 User unknown', 'sender'],
    [535, 'auth', '5.7.8 Authentication failed', 'sender'],
    [550, 'body', '5.7.26 Unauthenticated mail', 'sender'],
    [554, 'body', 'Transaction failed', 'sender'],
    [554, 'body', '5.7.1 Transaction failed', 'sender'],
    [554, 'body', 'Transaction failed: the identity example.com is not verified', 'sender'],
    [554, 'data', 'rejected', 'sender'],
    [550, 'body', '5.7.1 Service unavailable', 'sender'],
    [550, 'rcpt', 'rejected', 'person'],
    [552, 'body', '5.2.2 Mailbox full', 'person'],
    [550, 'body', '5.2.1 Mailbox disabled', 'person'],
    [550, 'body', 'rejected by recipient', 'person'],
    [554, 'body', '5.3.0 Internal error', 'person'],
    [451, 'body', 'Transaction failed', 'retry'],
  ] as const)('%i at %s (%s): %s', (replyCode, stage, text, action) => {
    expect(smtpConsequence({ replyCode, stage, text }).action).toBe(action);
  });
});
