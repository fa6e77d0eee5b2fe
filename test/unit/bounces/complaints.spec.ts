import { describe, expect, it } from 'vitest';
import { judgeMail, judgeReports } from '../../../src/bounces/judge-mail.js';

const WORDS = 'Content-Type: text/plain\n\nThis is an abuse report.';
const original = (local = 'bob'): string =>
  `Return-Path: <b+${local}@bounce.example.com>\nFrom: Ada <ada@example.com>\nTo: ${local}@example.org\nSubject: Tips\n\nHello`;
const fields = (type = 'abuse', local = 'bob'): string =>
  `Feedback-Type: ${type}\nUser-Agent: Example/1.0\nVersion: 1\nOriginal-Rcpt-To: <${local}@example.org>\n`;
const returned = (local?: string): string => `Content-Type: message/rfc822\n\n${original(local)}`;
const feedback = (type?: string, local?: string): string =>
  `Content-Type: message/feedback-report\n\n${fields(type, local)}`;

function arf(...parts: string[]): string {
  const body = parts.map((part) => `--=b\n${part}\n`).join('\n');
  return `From: fbl@example.net\nTo: fbl@bounce.example.com\nSubject: FW: Tips\nMIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=b"\n\n${body}\n--=b--\n`;
}

const base64 = (part: string): string => {
  const [head = '', ...body] = part.split('\n\n');
  const bytes = Buffer.from(body.join('\n\n')).toString('base64');
  return `${head}\nContent-Transfer-Encoding: base64\n\n${bytes.replace(/(.{76})/g, '$1\n')}`;
};
const forwarded = (mail: string): string =>
  `From: Ada <ada@example.com>\nSubject: Fwd: report\nContent-Type: multipart/mixed; boundary=o\n
--o\nContent-Type: text/plain\n\nLook.\n--o\nContent-Type: message/rfc822\n\n${mail}\n--o--\n`;

describe('a complaint', () => {
  it.each([
    ['as the standard has it', arf(WORDS, feedback(), returned())],
    ['with its parts in base64', arf(WORDS, base64(feedback()), base64(returned()))],
    [
      'with headers alone',
      arf(WORDS, feedback(), returned().replace('message/rfc822', 'text/rfc822-headers')),
    ],
    ['with the mail before the report', arf(WORDS, returned(), feedback())],
    ['with empty lines before its fields', arf(WORDS, feedback().replace('\n\n', '\n\n\n\n'), returned())],
    [
      'that calls its report a text: it read as nothing',
      arf(WORDS, feedback().replace('message/feedback-report', 'text/plain; name=report.txt'), returned()),
    ],
    [
      'that calls its report a file: it read as nothing',
      arf(WORDS, feedback().replace('message/feedback-report', 'application/octet-stream'), returned()),
    ],
    [
      'that calls the mail a file: nobody was found',
      arf(
        WORDS,
        feedback().replace(/Original.*\n/, ''),
        returned().replace('message/rfc822', 'application/octet-stream; name=mail.eml'),
      ),
    ],
    [
      'that is one text: it read as nothing',
      `From: fbl@example.net\nSubject: abuse report\n\nThis is an abuse report.\n\n${fields()}\n${original()}\n`,
    ],
    ['that somebody passed on: it read as nothing', forwarded(arf(WORDS, feedback(), returned()))],
    [
      'of bare CR line ends in base64',
      arf(WORDS, base64(feedback().replace(/\n(?!\n|F)/g, '\r')), returned()),
    ],
  ])('%s is read, with the mail it is about', async (_, mail) => {
    const { verdict, reason, findings, originals } = await judgeMail(Buffer.from(mail));
    expect({ verdict, reason }).toEqual({ verdict: 'complaint', reason: 'abuse' });
    expect(findings.map(({ recipient }) => recipient)).toEqual(['bob@example.org']);
    expect(originals[0]?.get('return-path')).toEqual(['<b+bob@bounce.example.com>']);
  });

  it.each([
    ['with a comment behind the type', feedback('not-spam (moved by the reader)')],
    ['with a semicolon behind it', feedback('Not-Spam;')],
    [
      'behind an empty line',
      'Content-Type: message/feedback-report\n\nUser-Agent: Example/1.0\nVersion: 1\n\nFeedback-Type: not-spam\n',
    ],
  ])('that says "not spam" %s is none: the person was given up', async (_, part) => {
    expect(await judgeMail(Buffer.from(arf(WORDS, part, returned())))).toMatchObject({
      verdict: 'ignore',
      reason: 'not_spam',
    });
  });
});

describe('a report of another kind', () => {
  it.each([
    ['virus', 'sender virus'],
    ['fraud', 'sender fraud'],
    ['other', 'ignore other'],
    ['x-something-new', 'ignore unknown_kind'],
    ['opt-out', 'complaint opt_out'],
  ])('%s is no complaint of the reader, unless they want out', async (type, said) => {
    const { verdict, reason } = await judgeMail(Buffer.from(arf(WORDS, feedback(type), returned())));
    expect(`${verdict} ${reason}`).toBe(said);
  });
});

describe('several reports in one mail', () => {
  const whom = async (mail: string) =>
    (await judgeReports(Buffer.from(mail))).map(({ verdict, findings, originals }) => [
      verdict,
      findings[0]?.recipient,
      originals[0]?.get('return-path')?.[0],
    ]);

  it('stand each for itself: only the first counted', async () => {
    const mail = arf(
      WORDS,
      ...[feedback('abuse', 'bob'), returned('bob')],
      ...[feedback('not-spam', 'eve'), returned('eve')],
      ...[feedback('opt-out', 'tim'), returned('tim')],
    );
    expect(await whom(mail)).toEqual([
      ['complaint', 'bob@example.org', '<b+bob@bounce.example.com>'],
      ['ignore', 'eve@example.org', '<b+eve@bounce.example.com>'],
      ['complaint', 'tim@example.org', '<b+tim@bounce.example.com>'],
    ]);
    expect((await judgeMail(Buffer.from(mail))).findings).toHaveLength(3);
  });

  it('that somebody passed on together are each read', async () => {
    const [first, second] = [
      arf(WORDS, feedback(), returned()),
      arf(WORDS, feedback('abuse', 'eve'), returned('eve')),
    ];
    const mail = forwarded(first.replaceAll('=b', '=b1')).replace(
      '\n--o--',
      `\n--o\nContent-Type: message/rfc822\n\n${second.replaceAll('=b', '=b2')}\n--o--`,
    );
    expect(await whom(mail)).toEqual([
      ['complaint', 'bob@example.org', '<b+bob@bounce.example.com>'],
      ['complaint', 'eve@example.org', '<b+eve@bounce.example.com>'],
    ]);
  });

  it('are read up to fifty parts and no further', async () => {
    const parts = Array.from({ length: 5_000 }, (_, at) => feedback('abuse', `r${at}`));
    expect((await judgeReports(Buffer.from(arf(...parts)))).length).toBeLessThanOrEqual(50);
  });
});
