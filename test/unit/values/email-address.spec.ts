import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  domainOf,
  isRoleAccount,
  localPartOf,
  maskEmailAddress,
  parseEmailAddress,
  suggestDomain,
  wireAddress,
} from '../../../src/values/email-address.js';
import { corpusFolder } from '../../support/corpora.js';

const corpus = corpusFolder('email-addresses');

describe('an email address', () => {
  it.each([
    ['ada@example.com', 'ada@example.com', 'ada@example.com'],
    [' \tada@example.com\u00a0\u200b', 'ada@example.com', 'ada@example.com'],
    ['Ada.Lovelace+News@EXAMPLE.com', 'Ada.Lovelace+News@example.com', 'ada.lovelace+news@example.com'],
    ["o'brien@mail.example.co.uk", "o'brien@mail.example.co.uk", "o'brien@mail.example.co.uk"],
    ['ada@Bücher.example', 'ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example'],
    ['ada@例え。テスト', 'ada@xn--r8jz45g.xn--zckzah', 'ada@xn--r8jz45g.xn--zckzah'],
    ['ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example'],
  ])('%j is sent to %s', (input, address, key) => {
    expect(parseEmailAddress(input)).toEqual({
      ok: true,
      address,
      key,
      domain: address.slice(address.indexOf('@') + 1),
      smtpUtf8: false,
    });
  });

  it('keeps a local part in another script and asks for SMTPUTF8', () => {
    expect(parseEmailAddress('Jose\u0301@example.com')).toEqual({
      ok: true,
      address: 'José@example.com',
      key: 'josé@example.com',
      domain: 'example.com',
      smtpUtf8: true,
    });
    expect(parseEmailAddress('用户@例子.test')).toMatchObject({ ok: true, address: '用户@xn--fsqu00a.test' });
  });

  it('takes a bare country code for a domain, but no other single word', () => {
    expect(parseEmailAddress('ada@io')).toMatchObject({ ok: true, domain: 'io' });
    expect(['ada@gmail', 'ada@org', 'ada@localhost'].filter((text) => parseEmailAddress(text).ok)).toEqual(
      [],
    );
  });

  it.each([
    ['ada@example.com', 'ada', 'example.com'],
    ['Ada+News@News.EXAMPLE.com', 'Ada+News', 'news.example.com'],
    ['ada@Bücher.example', 'ada', 'xn--bcher-kva.example'],
    ['用户@例子.test', '用户', 'xn--fsqu00a.test'],
    ['"a@b"@Example.com', '"a@b"', 'example.com'],
    ['"a b@c\\"@"@bücher.example', '"a b@c\\"@"', 'xn--bcher-kva.example'],
    ['@example.com', '', 'example.com'],
  ])('%s is cut into %s and %s, and goes over the wire so', (address, local, domain) => {
    expect([localPartOf(address), domainOf(address)]).toEqual([local, domain]);
    expect(wireAddress(address)).toBe(`${local}@${domain}`);
  });

  it('tells dots and tags apart: they may be different people', () => {
    const keys = ['a.b@example.com', 'ab@example.com', 'ab+x@example.com'].map((text) => {
      const parsed = parseEmailAddress(text);
      return parsed.ok ? parsed.key : null;
    });
    expect(new Set(keys).size).toBe(3);
  });

  it.each([
    ['', 'empty'],
    ['   ', 'empty'],
    ['ada', 'no @'],
    ['@example.com', 'before the @ is missing'],
    ['ada@', 'after the @ is missing'],
    ['ada@b@example.com', 'more than one @'],
    ['"ada"@example.com', 'quotation marks'],
    ['ada..b@example.com', 'dot before the @'],
    ['.ada@example.com', 'dot before the @'],
    ['ada.@example.com', 'dot before the @'],
    ['ada b@example.com', 'before the @ is not allowed'],
    ['(x)ada@example.com', 'before the @ is not allowed'],
    ['a,b@example.com', 'before the @ is not allowed'],
    ['Ada <ada@example.com>', 'before the @ is not allowed'],
    ['ada\r\nRCPT TO:<eve@example.com>', 'not allowed'],
    ['ada@example.com\n', 'after the @ is not allowed'],
    ['ada\u0000@example.com', 'before the @ is not allowed'],
    ['ada\u202e@example.com', 'before the @ is not allowed'],
    ['ada\ud800@example.com', 'before the @ is not allowed'],
    ['ada\uff20eve@example.com', 'before the @ is not allowed'],
    ['ada@[127.0.0.1]', 'after the @ is not allowed'],
    ['ada@exam%70le.com', 'after the @ is not allowed'],
    ['ada@exa_mple.com', 'after the @ is not allowed'],
    ['ada@bücher.example/x', 'after the @ is not allowed'],
    ['ada@example..com', 'labels'],
    ['ada@.example.com', 'labels'],
    ['ada@example.com.', 'labels'],
    ['ada@-example.com', 'labels'],
    ['ada@example-.com', 'labels'],
    [`ada@${'a'.repeat(64)}.com`, 'labels'],
    ['ada@example', 'no dot'],
    ['ada@127.0.0.1', 'end in a number'],
    ['ada@１２７.0.0.1', 'end in a number'],
    [`${'a'.repeat(65)}@example.com`, '64 bytes'],
    [`${'é'.repeat(33)}@example.com`, '64 bytes'],
    [`a@${'a'.repeat(62)}.${'b'.repeat(62)}.${'c'.repeat(62)}.${'d'.repeat(62)}.com`, '253 bytes'],
    [`${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(59)}.com`, '254 bytes'],
    ['a'.repeat(10_000), 'too long'],
  ])('%j is refused', (input, reason) => {
    expect(parseEmailAddress(input)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
  });

  it('accepts exactly 254 bytes', () => {
    const longest = `${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(57)}.com`;
    expect(longest).toHaveLength(254);
    expect(parseEmailAddress(longest)).toMatchObject({ ok: true });
  });

  it('reads its own result again as the same address and key', () => {
    const character = fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
      fc.constantFrom('a', 'É', '.', 'İ'),
    );
    const local = fc.array(character, { minLength: 1, maxLength: 12 }).map((all) => all.join(''));
    const domain = fc.constantFrom('example.com', 'Bücher.example', 'a.b.test', 'ΣΑΣ.example');
    fc.assert(
      fc.property(local, domain, (name, host) => {
        const first = parseEmailAddress(`${name}@${host}`);
        if (!first.ok) return;
        expect(parseEmailAddress(first.address)).toEqual(first);
        const again = parseEmailAddress(first.key);
        expect(again.ok ? again.key : first.key).toBe(first.key);
      }),
    );
  });

  it('never lets a line break, space or control through, whatever it is given', () => {
    const piece = fc.constantFrom(
      '\r',
      '\n',
      ' ',
      '\t',
      '\u0000',
      '\u0085',
      '\u2028',
      '<',
      '>',
      ',',
      ';',
      'a',
      '@',
      '.',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const parsed = parseEmailAddress(`${pieces.join('')}@example.com`);
        if (!parsed.ok) return;
        expect(parsed.address).toMatch(/^[^\s\p{C}<>,;@]+@example\.com$/u);
      }),
    );
  });

  it.skipIf(corpus === null)('agrees with the public test addresses wherever they are clear', () => {
    const cases = JSON.parse(readFileSync(`${corpus ?? ''}cases.json`, 'utf8')) as {
      address: string;
      expect: string;
    }[];
    const wrong = cases.filter(({ address, expect: wanted }) => {
      const verdict = parseEmailAddress(address).ok ? 'accept' : 'reject';
      return wanted !== 'policy' && wanted !== verdict;
    });
    expect(cases.length).toBeGreaterThan(100);
    expect(wrong).toEqual([]);
  });
});

describe('maskEmailAddress', () => {
  it('keeps the first character and the domain', () => {
    expect(maskEmailAddress('ada@example.com')).toBe('a***@example.com');
    expect(maskEmailAddress('😀a@example.com')).toBe('😀***@example.com');
    expect(maskEmailAddress('ada')).toBe('***');
    expect(maskEmailAddress('@example.com')).toBe('***');
    expect(maskEmailAddress('')).toBe('***');
  });
});

describe('suggestDomain', () => {
  it.each([
    ['gmial.com', 'gmail.com'],
    ['gamil.com', 'gmail.com'],
    ['gmail.con', 'gmail.com'],
    ['gmail.co', 'gmail.com'],
    ['gmial.con', 'gmail.com'],
    ['gmailcom', 'gmail.com'],
    ['GMIAL.COM', 'gmail.com'],
    ['hotmial.com', 'hotmail.com'],
    ['hotmal.co', 'hotmail.com'],
    ['yaho.com', 'yahoo.com'],
    ['outlok.com', 'outlook.com'],
    ['iclod.com', 'icloud.com'],
    ['aol.cm', 'aol.com'],
  ])('%s may mean %s', (typed, meant) => {
    expect(suggestDomain(typed)).toBe(meant);
  });

  it.each([
    'gmail.com',
    'mail.com',
    'ymail.com',
    'hotmail.de',
    'yahoo.co.uk',
    'line.com',
    'man.com',
    'gmx.de',
    'example.com',
    'gm.com',
    '',
  ])('%j is left alone', (typed) => {
    expect(suggestDomain(typed)).toBeNull();
  });
});

describe('the shorter way for plain addresses', () => {
  it('tells the same as the full one, which a space behind the address takes', () => {
    const part = fc.constantFrom(
      'a',
      'B',
      '9',
      '-',
      '.',
      '@',
      '_',
      '+',
      'é',
      '"',
      ' ',
      'x'.repeat(63),
      'com',
      'xn--',
    );
    const typed = fc.array(part, { minLength: 1, maxLength: 9 }).map((parts) => parts.join(''));
    const likely = fc.tuple(typed, typed).map(([local, domain]) => `${local}@${domain}.com`);
    fc.assert(
      fc.property(fc.oneof(typed, likely), (text) => {
        expect(parseEmailAddress(text)).toEqual(parseEmailAddress(`${text} `));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('isRoleAccount', () => {
  it('knows functions from people', () => {
    expect(['info', 'Postmaster', 'no-reply', 'support+eu'].map(isRoleAccount)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(['ada', 'information', 'infos', '+info', ''].map(isRoleAccount)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});
