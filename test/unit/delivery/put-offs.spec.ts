import { describe, expect, it } from 'vitest';
import { PutOffs } from '../../../src/delivery/relays/put-offs.js';

describe('mails that a relay was tried with, and put off', () => {
  it('are the relay’s trouble once a second receiver’s is put off too', () => {
    const putOffs = new PutOffs();
    expect(putOffs.add('1', 'example.org')).toBe(false);
    expect(putOffs.add('2', 'example.org')).toBe(false);
    expect(putOffs.add('3', 'example.net')).toBe(true);
    expect(putOffs.add('1', 'example.org')).toBe(true);
  });

  it('are it too when all go to one receiver, of which many lists have most', () => {
    const putOffs = new PutOffs();
    const said = ['1', '2', '3', '4', '5', '6'].map((mail) => putOffs.add(mail, 'example.org'));
    expect(said).toEqual([false, false, false, false, true, true]);
  });

  it('prove nothing when they are one mail, tried again and again', () => {
    const putOffs = new PutOffs();
    for (let round = 0; round < 20; round++) expect(putOffs.add('1', 'example.org')).toBe(false);
  });

  it('count from the last mail that was taken', () => {
    const putOffs = new PutOffs();
    putOffs.add('1', 'example.org');
    putOffs.worked();
    expect(putOffs.add('2', 'example.net')).toBe(false);
  });
});
