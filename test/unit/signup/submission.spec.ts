import { describe, expect, it } from 'vitest';
import { filledTooFast, formAgeMs, issueFormToken } from '../../../src/signup/form-token.js';
import { addressBlock } from '../../../src/values/address-block.js';
import { checkSubmission } from '../../../src/signup/submission.js';

const SECRET = Buffer.alloc(32, 7);
const ISSUED = new Date('2026-03-02T09:00:00.300Z');
const after = (ms: number): Date => new Date(ISSUED.getTime() + ms);

describe('a sent form', () => {
  it('gives the address as it is written to, the name and a known time zone', () => {
    const check = checkSubmission({ email: ' Ada@EXAMPLE.com ', name: ' Ada ', timeZone: 'europe/berlin' });
    expect(check).toMatchObject({
      kind: 'good',
      submission: {
        email: { address: 'Ada@example.com', key: 'ada@example.com' },
        name: 'Ada',
        timeZone: 'Europe/Berlin',
      },
    });
  });

  it('does without name and with an unknown time zone', () => {
    expect(checkSubmission({ email: 'ada@example.com', timeZone: 'Mars/Olympus' })).toMatchObject({
      kind: 'good',
      submission: { name: undefined, timeZone: undefined },
    });
  });

  it('says what is wrong with the address, keeps it, and guesses what was meant', () => {
    const check = checkSubmission({ email: 'ada@gmail', name: 'Ada' });
    expect(check).toMatchObject({ kind: 'bad', values: { email: 'ada@gmail', name: 'Ada' } });
    expect(checkSubmission({ email: 'ada lovelace@gmial.com' })).toMatchObject({
      errors: { email: expect.stringContaining('gmail.com') },
    });
  });

  it.each([
    { email: ['a@example.com', 'b@example.com'] },
    { email: { address: 'a@example.com' } },
    { email: 7 },
    {},
  ])('refuses %o in place of an address', (fields) =>
    expect(checkSubmission(fields)).toMatchObject({ kind: 'bad' }),
  );

  it.each(['Ada\r\nBcc: all@example.com', 'Ada\u0000', 'Ada\u202Etxt', 'A'.repeat(101)])(
    'refuses the name %j',
    (name) => expect(checkSubmission({ email: 'ada@example.com', name })).toMatchObject({ kind: 'bad' }),
  );

  it('takes whoever fills in the trap for a program, whatever else is right or wrong', () => {
    expect(checkSubmission({ email: 'ada@example.com', website: 'x' })).toEqual({ kind: 'bot' });
    expect(checkSubmission({ email: 'nonsense', website: 'x' })).toEqual({ kind: 'bot' });
    expect(checkSubmission({ email: 'ada@example.com', website: '' }).kind).toBe('good');
  });
});

describe('the age of a form', () => {
  const token = issueFormToken(SECRET, ISSUED);

  it('is exact to the millisecond', () => {
    expect(formAgeMs(SECRET, token, after(799))).toBe(799);
    expect([799, 800].map((age) => filledTooFast(age))).toEqual([true, false]);
  });

  it('is not known without a token of ours from the last day, and then counts as slow', () => {
    const ages = [undefined, '', 'forged', ['x']].map((one) => formAgeMs(SECRET, one, ISSUED));
    expect([
      ...ages,
      formAgeMs(SECRET, token, after(25 * 3_600_000)),
      formAgeMs(Buffer.alloc(32), token, ISSUED),
    ]).toEqual([null, null, null, null, null, null]);
    expect(filledTooFast(null)).toBe(false);
  });
});

describe('the block an address belongs to', () => {
  it.each([
    ['203.0.113.9', '203.0.113.250'],
    ['::ffff:203.0.113.9', '203.0.113.1'],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9'],
    ['2001:db8::1', '2001:db8:0:0:9::'],
  ])('%s and %s share one', (one, other) => expect(addressBlock(one)).toBe(addressBlock(other)));

  it.each([
    ['203.0.113.9', '203.0.114.9'],
    ['2001:db8:1:2::1', '2001:db8:1:3::1'],
  ])('%s and %s do not', (one, other) => expect(addressBlock(one)).not.toBe(addressBlock(other)));
});
