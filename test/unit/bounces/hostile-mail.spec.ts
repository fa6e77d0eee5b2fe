import { describe, expect, it } from 'vitest';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { report } from '../../support/returned-mails.js';

const MULTIPART =
  'Return-Path: <>\r\nFrom: MAILER-DAEMON\r\nContent-Type: multipart/report; boundary=b\r\n\r\n';
const nested = (depth: number) =>
  Array.from(
    { length: depth },
    (_, at) => `--b${at || ''}\r\nContent-Type: multipart/mixed; boundary=b${at + 1}\r\n\r\n`,
  ).join('');
const wrapped = (depth: number) => 'Content-Type: message/rfc822\r\n\r\n'.repeat(depth);

function manyReports(): string {
  const one = report({
    words: 'user recipient mailbox address account message spam policy '.repeat(70),
    fields: 'Final-Recipient: rfc822; a@b.c\nAction: failed\nStatus: 5.0.0\n\n'.repeat(100),
  });
  return `${MULTIPART}--b\r\n\r\nSee below.\r\n${`--b\r\nContent-Type: message/rfc822\r\n\r\n${one}\r\n`.repeat(40)}--b--\r\n`;
}

const HOSTILE: readonly (readonly [string, string | Uint8Array])[] = [
  ['nothing', ''],
  ['NUL bytes', Buffer.alloc(100_000)],
  ['random bytes', Buffer.from(Array.from({ length: 50_000 }, (_, at) => (at * 7919) % 256))],
  ['10,000 levels of multipart', MULTIPART + nested(10_000)],
  ['10,000 mails in mails', wrapped(10_000)],
  ['a million parts', MULTIPART + '--b\r\n\r\nx\r\n'.repeat(1_000_000)],
  ['two million empty lines', MULTIPART + '\n'.repeat(2_000_000)],
  ['one line of 20 MB', MULTIPART + 'x'.repeat(20_000_000)],
  ['a boundary that is the empty text', 'Content-Type: multipart/report; boundary=""\r\n\r\n--\r\n--\r\n'],
  ['a million brackets', `${MULTIPART}--b\r\nContent-Type: text/html\r\n\r\n${'<'.repeat(1_000_000)}`],
  ['addresses without end', `Return-Path: <>\r\nSubject: failure notice\r\n\r\n${'a@'.repeat(300_000)}`],
  [
    'letters that look like addresses',
    `Return-Path: <>\r\nSubject: failure notice\r\n\r\n${'a.'.repeat(300_000)}@`,
  ],
  ['a header of a million addresses', `To: ${'a@b.c,'.repeat(1_000_000)}\r\n\r\n`],
  ['comments without end', `From: ${'('.repeat(500_000)}\r\n\r\n`],
  ['encoded words without end', `Subject: ${'=?utf-8?q?=41?= '.repeat(100_000)}\r\n\r\n`],
  [
    'a report of 100,000 recipients',
    report({
      words: '',
      fields: 'Final-Recipient: rfc822; a@example.org\nAction: failed\nStatus: 5.1.1\n\n'.repeat(100_000),
    }),
  ],
  [
    'words that begin every rule',
    `Return-Path: <>\r\nSubject: failure\r\n\r\n${'user recipient mailbox address account message spam policy '.repeat(20_000)}`,
  ],
  ['forty reports in one, each of a hundred recipients', manyReports()],
  ['base64 that is none', 'Content-Transfer-Encoding: base64\r\n\r\n****\r\n'.repeat(1_000)],
];

/** What is one line for the mail's own lines may be many, or none, once it is decoded. */
const encoded = (text: string): string =>
  `Return-Path: <>\r\nFrom: MAILER-DAEMON\r\nSubject: failure notice\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(
    text,
  )
    .toString('base64')
    .replace(/.{76}/g, '$&\r\n')}`;
const RUNS: readonly (readonly [string, string])[] = [
  ['dashes', '-'],
  ['blanks', ' '],
  ['tabs', '\t'],
  ['line breaks', '\n'],
  ['carriage returns', '\r'],
  ['closing brackets', '>'],
  ['opening brackets', '<'],
  ['at signs', '@'],
  ['dots', '.'],
  ['digits', '5'],
  ['letters', 'a'],
  ['quotes', '"'],
  ['equal signs', '='],
  ['stars', '*'],
  ['dashes and blanks', '- '],
  ['brackets and dashes', '>--'],
  ['blanks and line breaks', ' \n'],
  ['line breaks and letters', '\n\n\n\nx'],
  ['addresses', 'a@b '],
  ['statuses', '5.1.1 '],
  ['words that lead to an address', 'mail sent to '],
  ['words before a colon', 'recipient: '],
];
const RUN_CHARS = 60_000;

describe('hostile mails', () => {
  it.each(RUNS)('a run of %s takes no longer than other texts', async (_, run) => {
    const text = run.repeat(RUN_CHARS / run.length);
    const from = process.cpuUsage();
    for (const mail of [encoded(text), encoded(`The mail to you ${text}x`), encoded(`${text}\nx${text}@`)])
      await judgeMail(Buffer.from(mail));
    // Work, not waiting: a hundred times what it takes; a pattern that tries each place anew takes minutes.
    expect(process.cpuUsage(from).user / 1_000).toBeLessThan(10_000);
  });

  it.each(HOSTILE)('%s neither kill nor stall', async (_, mail) => {
    const from = process.cpuUsage();
    await expect(judgeMail(Buffer.from(mail))).resolves.toHaveProperty('verdict');
    // Work, not waiting: a hundred times what it takes; without the limits some of these take minutes.
    expect(process.cpuUsage(from).user / 1_000).toBeLessThan(10_000);
  });

  it('a report of 50 MB is judged by its first pages', async () => {
    const mail = report({
      words: 'Delivery failed.',
      fields:
        'Final-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown',
    });
    const big = Buffer.concat([Buffer.from(mail.replace('Hello Bob', '')), Buffer.alloc(50_000_000, 'x')]);
    const from = process.cpuUsage();
    expect(await judgeMail(big)).toMatchObject({ verdict: 'hard', reason: 'user_unknown' });
    expect(process.cpuUsage(from).user / 1_000).toBeLessThan(10_000);
  });

  it('what a report quotes is kept short', async () => {
    const mail = report({
      words: '',
      fields: `Final-Recipient: rfc822; bob@example.org\nAction: failed\nDiagnostic-Code: smtp; 550 ${'no '.repeat(100_000)}`,
    });
    const { findings } = await judgeMail(Buffer.from(mail));
    expect(findings[0]?.diagnostic.length).toBeLessThanOrEqual(500);
  });
});
