import { describe, expect, it } from 'vitest';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { text } from '../../support/returned-mails.js';

const LEAVE =
  'I am on parental leave. My account is disabled during that time, please write to info@example.org';
const GONE = 'This mailbox is no longer monitored. The account bob2@example.org does not exist any more.';
const judge = async (subject: string, body: string, headers: string, from = 'Bob <bob@example.org>') => {
  const { verdict, reason } = await judgeMail(Buffer.from(text(from, subject, body, headers)));
  return `${verdict} ${reason}`;
};

describe('an automatic answer without Auto-Submitted', () => {
  it.each(['Precedence: junk', 'Precedence: bulk', 'X-Auto-Response-Suppress: All', 'precedence: Bulk'])(
    'was read as a bounce: %s',
    async (mark) => {
      for (const subject of ['Parental leave', 'Re: Last warning: your seat'])
        for (const body of [LEAVE, GONE])
          expect(await judge(subject, body, `Return-Path: <>\n${mark}`)).toBe('ignore auto_reply');
    },
  );

  it('is none where it comes from a mail system, says so in its subject, or names who failed', async () => {
    const headers = 'Return-Path: <>\nPrecedence: bulk';
    expect(await judge('Hello', GONE, headers, 'Mailer-Daemon <mailer-daemon@example.org>')).toBe(
      'hard user_unknown',
    );
    expect(await judge('Undeliverable: Hello', GONE, headers)).toBe('hard user_unknown');
    expect(await judge('Hello', GONE, `${headers}\nX-Failed-Recipients: bob2@example.org`)).toBe(
      'hard user_unknown',
    );
  });

  it('was believed that its own writer does not exist', async () => {
    const own = 'Hello,\n\nbob@example.org\nThis account does not exist any more.';
    expect(await judge('Hello', own, 'Return-Path: <>')).toBe('ignore auto_reply');
  });

  it('is at most a guess where nothing but the empty return path is that of a report', async () => {
    const guesses = async (headers: string, from?: string) =>
      (
        await judgeMail(Buffer.from(text(from ?? 'Bob <bob@example.org>', 'Hello', LEAVE, headers)))
      ).findings.map(({ recipient, isGuess }) => [recipient, isGuess ?? false]);
    expect(await guesses('Return-Path: <>')).toEqual([['info@example.org', true]]);
    expect(await guesses('Return-Path: <>', 'postmaster@example.org')).toEqual([['info@example.org', false]]);
    expect(await guesses('Return-Path: <MAILER-DAEMON@example.org>')).toEqual([['info@example.org', false]]);
  });
});
