import { describe, expect, it } from 'vitest';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { RETURNED_MAILS } from '../../support/returned-mails.js';

describe('a mail to the bounce address', () => {
  it.each(RETURNED_MAILS)('$name: $verdict $reason', async ({ mail, verdict, reason, recipients }) => {
    const judged = await judgeMail(Buffer.from(mail));
    expect(judged).toMatchObject({ verdict, reason });
    expect(judged.findings.map(({ recipient }) => recipient)).toEqual(recipients);
  });

  it.each(RETURNED_MAILS)(
    '$name reads the same with CRLF and from a mailbox on disk',
    async ({ mail, verdict }) => {
      const crlf = `From MAILER-DAEMON Mon Jan  1 00:00:00 2029\r\n${mail.replace(/\n/g, '\r\n')}`;
      expect((await judgeMail(Buffer.from(crlf))).verdict).toBe(verdict);
    },
  );

  it.each(RETURNED_MAILS)(
    '$name reads the same with bare CR line ends, in the whole mail or behind its head, and with doubled ones: it read as nothing',
    async ({ mail, verdict, recipients }) => {
      const [head = '', ...rest] = mail.split('\n\n');
      const forms = [
        mail.replaceAll('\n', '\r'),
        `${head.replaceAll('\n', '\r\n')}\r\n\r\n${rest.join('\n\n').replaceAll('\n', '\r')}`,
        mail.replaceAll('\n', '\r\r\n'),
      ];
      for (const form of forms) {
        const judged = await judgeMail(Buffer.from(form));
        expect(judged.verdict).toBe(verdict);
        expect(judged.findings.map(({ recipient }) => recipient)).toEqual(recipients);
      }
    },
  );

  it('names the reporting server and keeps the headers that came back', async () => {
    const mail = RETURNED_MAILS[0]?.mail ?? '';
    const { reportingMta, originals } = await judgeMail(Buffer.from(mail));
    expect(reportingMta).toBe('mx.example.net');
    expect(originals[0]?.get('message-id')).toEqual(['<abc@example.com>']);
  });
});
