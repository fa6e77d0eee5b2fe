import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LICENCE_KEY_BYTES, licenceKey, readLicenceKey } from '../../../src/orders/licence-key.js';

const randomBytes = fc.uint8Array({ minLength: LICENCE_KEY_BYTES, maxLength: LICENCE_KEY_BYTES });
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

describe('licence keys', () => {
  it('are four groups of four of the unmistakable letters and digits', () => {
    fc.assert(
      fc.property(randomBytes, (bytes) => {
        expect(licenceKey(bytes)).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
      }),
    );
  });

  it('are read back however they were typed', () => {
    fc.assert(
      fc.property(randomBytes, (bytes) => {
        const key = licenceKey(bytes);
        const typed = ` ${key.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l')} `;
        expect(readLicenceKey(typed)).toBe(key);
      }),
    );
  });

  it('are refused with any single character wrong', () => {
    const changed = fc.tuple(randomBytes, fc.nat(15), fc.integer({ min: 1, max: 31 }));
    fc.assert(
      fc.property(changed, ([bytes, place, shift]) => {
        const plain = licenceKey(bytes).replaceAll('-', '');
        const other = ALPHABET.charAt((ALPHABET.indexOf(plain.charAt(place)) + shift) % 32);
        expect(readLicenceKey(plain.slice(0, place) + other + plain.slice(place + 1))).toBeNull();
      }),
    );
  });

  it('use 75 bits of what they are given', () => {
    const keys = new Set(
      Array.from({ length: 75 }, (_, bit) => {
        const bytes = new Uint8Array(LICENCE_KEY_BYTES);
        bytes[LICENCE_KEY_BYTES - 1 - Math.floor(bit / 8)] = 1 << (bit % 8);
        return licenceKey(bytes);
      }),
    );
    expect(keys.size).toBe(75);
  });

  it('are not made of too few random bytes', () => {
    expect(() => licenceKey(new Uint8Array(9))).toThrow(RangeError);
  });

  it('are refused when they are too short, too long or of other letters', () => {
    for (const typed of ['', '0000-0000-0000-000', '0000-0000-0000-0000-0', 'UUUU-UUUU-UUUU-UUUU']) {
      expect(readLicenceKey(typed)).toBeNull();
    }
  });
});
