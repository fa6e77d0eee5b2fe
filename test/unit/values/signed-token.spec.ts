import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeIds,
  encodeIds,
  prolonged,
  signExpiring,
  signIds,
  signToken,
  verifyExpiring,
  verifyToken,
} from '../../../src/values/signed-token.js';

const secret = Buffer.alloc(32, 7);
const payload = fc.uint8Array({ maxLength: 64 });
const id = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String);

describe('a signed token', () => {
  it('gives back what was signed', () => {
    fc.assert(
      fc.property(payload, (bytes) => {
        expect(verifyToken(secret, 'click', signToken(secret, 'click', bytes))).toEqual(bytes);
      }),
    );
  });

  it('fails when any one bit is flipped', () => {
    const bytes = Buffer.from(signToken(secret, 'click', encodeIds(['42'])), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(verifyToken(secret, 'click', flipped.toString('base64url'))).toBeNull();
    }
  });

  it('fails when any one character is another, the unused bits of the last included', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. ';
    // 17, 18 and 24 bytes: every count of unused bits in the last character.
    for (const token of [1, 2, 8].map((length) => signToken(secret, 'click', new Uint8Array(length)))) {
      for (let at = 0; at < token.length; at += 1) {
        for (const character of alphabet) {
          if (character === token[at]) continue;
          expect(
            verifyToken(secret, 'click', token.slice(0, at) + character + token.slice(at + 1)),
          ).toBeNull();
        }
      }
    }
  });

  it('fails for another purpose or secret', () => {
    fc.assert(
      fc.property(payload, fc.constantFrom('open', 'clic', 'clickx', 'click:2'), (bytes, purpose) => {
        const token = signToken(secret, 'click', bytes);
        expect(verifyToken(secret, purpose, token)).toBeNull();
        expect(verifyToken(randomBytes(32), 'click', token)).toBeNull();
      }),
    );
  });

  it.each([
    ['nothing', (): string => ''],
    ['a space before', (token: string): string => ` ${token}`],
    ['a line break after', (token: string): string => `${token}\n`],
    ['a space inside', (token: string): string => `${token.slice(0, 5)} ${token.slice(5)}`],
    ['padding', (token: string): string => `${token}=`],
    ['a missing character', (token: string): string => token.slice(0, -1)],
    ['a further character', (token: string): string => `${token}A`],
    ['the signature alone', (token: string): string => token.slice(-22)],
    ['a novel', (): string => 'A'.repeat(100_000)],
  ])('refuses %s', (_, spoil) => {
    expect(verifyToken(secret, 'click', spoil(signToken(secret, 'click', encodeIds(['42']))))).toBeNull();
  });

  it('refuses a purpose that could run into the payload', () => {
    for (const purpose of ['', 'Click', 'a\u0000b', 'a b']) {
      expect(() => signToken(secret, purpose, new Uint8Array())).toThrow(
        expect.objectContaining({ code: 'TOKEN_PURPOSE_INVALID' }),
      );
    }
  });

  it('is the documented bytes, so tokens in old mails stay good', () => {
    expect(signToken(secret, 'click', encodeIds(['42']))).toBe('AAAAAAAAACq0saRRUUMlQzUBD3ThnF1I');
  });

  it('of ids is that of their bytes, also after one of more, larger or wrong ids', () => {
    for (const ids of [['42'], ['9223372036854775807', '1'], ['7', '8'], ['0']])
      expect(signIds(secret, 'click', ids)).toBe(signToken(secret, 'click', encodeIds(ids)));
    expect(() => signIds(secret, 'click', ['5', 'x'])).toThrow(
      expect.objectContaining({ code: 'TOKEN_ID_INVALID' }),
    );
    expect(signIds(secret, 'click', ['42', '1'])).toBe(signToken(secret, 'click', encodeIds(['42', '1'])));
  });
});

describe('a token with an end', () => {
  const end = new Date('2026-03-01T00:00:00Z');
  const token = signExpiring(secret, 'confirm', encodeIds(['42']), end);

  it('is good until its end and says when it was', () => {
    const read = { payload: encodeIds(['42']), expiresAt: end };
    expect(verifyExpiring(secret, 'confirm', token, new Date(end.getTime() - 1))).toMatchObject({
      payload: new Uint8Array(read.payload),
      expiresAt: end,
    });
    expect(verifyExpiring(secret, 'confirm', token, end)).toBe('expired');
  });

  it('never reports a forged token as expired', () => {
    const late = new Date('2030-01-01T00:00:00Z');
    expect(verifyExpiring(secret, 'confirm', `B${token.slice(1)}`, late)).toBeNull();
    expect(verifyExpiring(secret, 'download', token, late)).toBeNull();
  });

  it('is no lasting token of the same purpose, and a lasting one is none with an end', () => {
    expect(verifyToken(secret, 'confirm', token)).toBeNull();
    const lasting = signToken(secret, 'confirm', encodeIds(['42']));
    expect(verifyExpiring(secret, 'confirm', lasting, end)).toBeNull();
  });

  it('rounds its end up to a whole second', () => {
    const uneven = signExpiring(secret, 'confirm', new Uint8Array(), new Date(1_500));
    expect(verifyExpiring(secret, 'confirm', uneven, new Date(1_999))).toMatchObject({
      expiresAt: new Date(2_000),
    });
  });

  it('is given a later end also once it is over, and never an earlier one', () => {
    const [early, late] = [new Date('2026-01-01T00:00:00Z'), new Date('2026-03-01T00:00:00Z')];
    const token = signExpiring(secret, 'download', encodeIds(['7']), early);
    const longer = signExpiring(secret, 'download', encodeIds(['7']), late);
    expect(prolonged(secret, 'download', token, late)).toBe(longer);
    expect(prolonged(secret, 'download', longer, early)).toBe(longer);
  });

  it('is given no other end when it is forged or of another purpose', () => {
    const [early, late] = [new Date('2026-01-01T00:00:00Z'), new Date('2026-03-01T00:00:00Z')];
    const forged = signExpiring(randomBytes(32), 'download', encodeIds(['7']), early);
    const other = signExpiring(secret, 'order', encodeIds(['7']), early);
    for (const token of [forged, other, '', 'no token'])
      expect(prolonged(secret, 'download', token, late)).toBe(token);
  });

  it('refuses an end that is no time', () => {
    for (const wrong of [new Date(Number.NaN), new Date(-5_000)]) {
      expect(() => signExpiring(secret, 'confirm', new Uint8Array(), wrong)).toThrow(
        expect.objectContaining({ code: 'TOKEN_EXPIRY_INVALID' }),
      );
    }
  });
});

describe('ids in a token', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(id, { maxLength: 5 }), (ids) => {
        expect(decodeIds(encodeIds(ids), ids.length)).toEqual(ids);
      }),
    );
  });

  it('make a token of at most 34 characters for one id', () => {
    expect(signToken(secret, 'unsubscribe', encodeIds([String(2n ** 63n - 1n)]))).toHaveLength(32);
  });

  it.each(['', '-1', '1.5', '0x10', '007', ' 1', String(2n ** 63n), '1e3', '9'.repeat(30)])(
    'refuse %j',
    (wrong) => {
      expect(() => encodeIds([wrong])).toThrow(expect.objectContaining({ code: 'TOKEN_ID_INVALID' }));
    },
  );

  it('are null when the bytes hold another number of them', () => {
    expect(decodeIds(encodeIds(['1', '2']), 1)).toBeNull();
    expect(decodeIds(new Uint8Array(7), 1)).toBeNull();
  });
});
