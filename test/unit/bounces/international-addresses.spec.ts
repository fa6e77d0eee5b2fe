import { describe, expect, it } from 'vitest';
import { addressesIn, sameAddress } from '../../../src/bounces/addresses.js';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { text } from '../../support/returned-mails.js';
import { dsn } from '../../support/mail-systems.js';

describe('addresses in other scripts', () => {
  it.each([
    ['<bob@bücher.example>: no such user', 'bob@xn--bcher-kva.example'],
    ['bob@post.bücher.example.', 'bob@post.xn--bcher-kva.example'],
    ['josé@example.org is unknown', 'josé@example.org'],
    ['Адресат иван@почта.рф не найден', 'иван@xn--80a1acny.xn--p1ai'],
    ['<用户@例子.中国>', '用户@xn--fsqu00a.xn--fiqs8s'],
    ['「bob@例え.jp」へ配信できません', 'bob@xn--r8jz45g.jp'],
    ['δοκιμή@παράδειγμα.gr', 'δοκιμή@xn--hxajbheg2az3al.gr'],
  ])('are found: %s', (words, address) => {
    expect(addressesIn(words)).toEqual([address]);
  });

  it.each([
    'bob@example.orgに配信できません。',
    'bob@example.org。',
    '（bob@example.org）宛てのメール',
    'Адрес bob@example.org.Это не найдено',
    '宛先:bob@example.org、理由',
  ])('leave what stands beside an ordinary one alone: %s', (words) => {
    expect(addressesIn(words)).toEqual(['bob@example.org']);
  });

  it('are the same in either way of writing a letter', () => {
    expect(sameAddress('jose\u0301@example.org', 'jos\u00e9@example.org')).toBe(true);
  });
});

describe('a report about such an address', () => {
  it.each([
    ['josé@bücher.example', 'josé@xn--bcher-kva.example'],
    ['иван@почта.рф', 'иван@xn--80a1acny.xn--p1ai'],
  ])('named nobody where it is no more than a text: %s', async (written, address) => {
    const words = `Your message could not be delivered.\n\n<${written}>:\n550 5.1.1 no such user\n`;
    const mail = text('MAILER-DAEMON@mx.example.net', 'failure notice', words);
    const { verdict, findings } = await judgeMail(Buffer.from(mail));
    expect([verdict, ...findings.map(({ recipient }) => recipient)]).toEqual(['hard', address]);
  });

  it('named nobody where its fields escape it (RFC 6533)', async () => {
    const fields = String.raw`Final-Recipient: utf-8; jos\x{E9}@b\x{FC}cher.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user`;
    const { verdict, findings } = await judgeMail(Buffer.from(dsn({ words: '', fields: [fields] })));
    expect([verdict, findings[0]?.recipient]).toEqual(['hard', 'josé@xn--bcher-kva.example']);
  });
});
