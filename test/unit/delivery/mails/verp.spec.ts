import { describe, expect, it } from 'vitest';
import {
  readUnsubscribeAddress,
  readVerp,
  unsubscribeAddress,
  verpAddress,
} from '../../../../src/delivery/mails/verp.js';
import { encodeIds, signToken } from '../../../../src/values/signed-token.js';

const SECRET = Buffer.alloc(32, 7);
const local = (address: string) => address.slice(0, address.lastIndexOf('@'));

describe('the return path of a mail', () => {
  it.each(['1', '42', '9223372036854775807'])('names message %s and fits into a local part', (id) => {
    const address = verpAddress(SECRET, id, 'bounce.example.com');
    expect(local(address)).toMatch(/^b\+[a-z2-7]{39}$/);
    expect(readVerp(SECRET, local(address))).toBe(id);
  });

  it('is read whatever the case it comes back in', () => {
    expect(readVerp(SECRET, local(verpAddress(SECRET, '42', 'b.example')).toUpperCase())).toBe('42');
  });

  it('is nothing without our secret', () => {
    expect(readVerp(SECRET, local(verpAddress(Buffer.alloc(32, 8), '42', 'b.example')))).toBeNull();
  });

  it.each(['b+', 'b+a', 'b+1', 'postmaster', '', 'b+é', `b+${'a'.repeat(39)}`, `b+${'a'.repeat(500)}`])(
    'is nothing in %s',
    (text) => {
      expect(readVerp(SECRET, text)).toBeNull();
    },
  );

  it('has one spelling: no letter can be changed or added', () => {
    const genuine = local(verpAddress(SECRET, '42', 'b.example'));
    for (let place = 2; place < genuine.length; place++) {
      for (const letter of 'abcdefghijklmnopqrstuvwxyz234567') {
        if (letter === genuine[place]) continue;
        expect(readVerp(SECRET, genuine.slice(0, place) + letter + genuine.slice(place + 1))).toBeNull();
      }
    }
    expect(readVerp(SECRET, `${genuine}a`)).toBeNull();
  });
});

describe('the mail address for unsubscribing', () => {
  it('carries the token of the link, in at most 64 characters', () => {
    const token = signToken(SECRET, 'unsubscribe', encodeIds(['9223372036854775807', '42']));
    const address = unsubscribeAddress(token, 'bounce.example.com');
    expect(local(address).length).toBeLessThanOrEqual(64);
    expect(readUnsubscribeAddress(local(address).toUpperCase())).toBe(token);
  });

  it('is not a return path, nor the other way round', () => {
    expect(readUnsubscribeAddress(local(verpAddress(SECRET, '42', 'b.example')))).toBeNull();
  });
});
