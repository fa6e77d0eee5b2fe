import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { receiptKey, signReceipt } from '../../../src/privacy/consent-receipt.js';
import { readPreferencesForm, topicChanges } from '../../../src/privacy/preferences.js';

describe('the preferences form', () => {
  it.each([[null], [undefined], ['form=preferences'], [{}], [[]], [{ form: 'other', topic: 'a' }]])(
    'is no decision when it is %j',
    (body) => expect(readPreferencesForm(body)).toBeNull(),
  );

  it('takes one topic or many, as a browser sends them', () => {
    const read = (topic: unknown) => [...(readPreferencesForm({ form: 'preferences', topic })?.wanted ?? [])];
    expect([read(undefined), read('a'), read(['a', 'b']), read([1, { a: 1 }])]).toEqual([
      [],
      ['a'],
      ['a', 'b'],
      [],
    ]);
  });

  it('changes what differs, among the topics that were shown', () => {
    const topics = [
      { key: 'kept', title: 'K', optedOut: false },
      { key: 'left', title: 'L', optedOut: false },
      { key: 'back', title: 'B', optedOut: true },
      { key: 'still-out', title: 'S', optedOut: true },
      { key: 'new', title: 'N', optedOut: false },
    ];
    const shown = new Set(['kept', 'left', 'back', 'still-out', 'foreign']);
    expect(topicChanges(topics, { shown, wanted: new Set(['kept', 'back', 'foreign']) })).toEqual([
      { topicKey: 'left', title: 'L', wanted: false },
      { topicKey: 'back', title: 'B', wanted: true },
    ]);
  });
});

describe('the key of receipts', () => {
  it('is the same for the same secret, another for another, and named by its thumbprint', () => {
    const keys = [1, 1, 2].map((byte) => receiptKey(Buffer.alloc(32, byte)).publicKey);
    expect(keys[0]).toEqual(keys[1]);
    expect(keys[0]?.kid).not.toBe(keys[2]?.kid);
    expect(keys[0]?.kid).toMatch(/^[\w-]{43}$/);
  });

  it('signs what only its public half confirms', () => {
    const [own, other] = [receiptKey(Buffer.alloc(32, 1)), receiptKey(Buffer.alloc(32, 2))];
    const [head = '', content = '', signature = ''] = signReceipt(own, { sub: 'ä' }).split('.');
    const good = ({ publicKey: { kty, crv, x } }: typeof own): boolean =>
      verify(
        null,
        Buffer.from(`${head}.${content}`),
        createPublicKey({ key: { kty, crv, x }, format: 'jwk' }),
        Buffer.from(signature, 'base64url'),
      );
    expect([good(own), good(other)]).toEqual([true, false]);
    expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toMatchObject({ alg: 'EdDSA' });
  });
});
