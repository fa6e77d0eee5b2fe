import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hmacSha256 } from '../../../src/values/hmac.js';

it('is HMAC-SHA-256 for keys and texts of any length', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ unit: 'binary', maxLength: 3_000 }),
      fc.uint8Array({ maxLength: 300 }),
      (key, text, bytes) => {
        const secret = Buffer.from(key);
        const expected = createHmac('sha256', secret).update(text).digest('hex');
        expect(hmacSha256(secret, text).toString('hex')).toBe(expected);
        const longer = createHmac('sha256', secret).update(text).update(bytes).digest('hex');
        expect(hmacSha256(secret, text, bytes).toString('hex')).toBe(longer);
        expect(hmacSha256(secret, text).toString('hex')).toBe(expected);
      },
    ),
    { numRuns: 50 },
  );
});

it('keeps keys apart, and gives each answer a buffer of its own', () => {
  const [one, other] = [randomBytes(32), randomBytes(32)];
  const first = hmacSha256(one, 'text');
  const copy = Buffer.from(first);
  expect(hmacSha256(other, 'text').equals(first)).toBe(false);
  hmacSha256(one, 'another text');
  expect(first.equals(copy)).toBe(true);
});
