import { describe, expect, it } from 'vitest';
import { PutOffs } from '../../../../src/delivery/relays/put-offs.js';

describe('mails that a relay was tried with, and put off', () => {
  it('are the relay’s trouble once a second receiver’s is put off too', () => {
    const putOffs = new PutOffs();
    expect(putOffs.add({ id: '1', address: 'a@example.org', templateId: '7' })).toBe(false);
    expect(putOffs.add({ id: '2', address: 'a@example.org', templateId: '7' })).toBe(false);
    expect(putOffs.add({ id: '3', address: 'a@example.net', templateId: '7' })).toBe(true);
    expect(putOffs.add({ id: '1', address: 'a@example.org', templateId: '7' })).toBe(true);
  });

  it('are it too when all go to one receiver, of which many lists have most', () => {
    const putOffs = new PutOffs();
    const said = ['1', '2', '3', '4', '5', '6'].map((id) =>
      putOffs.add({ id, address: 'a@example.org', templateId: '7' }),
    );
    expect(said).toEqual([false, false, false, false, true, true]);
  });

  it('prove nothing when they are one mail, tried again and again', () => {
    const putOffs = new PutOffs();
    for (let round = 0; round < 20; round++)
      expect(putOffs.add({ id: '1', address: 'a@example.org', templateId: '7' })).toBe(false);
  });

  it('name the kinds of mails that were put off, so that the next try is by another, once they seem to be the relay’s trouble', () => {
    const putOffs = new PutOffs();
    putOffs.add({ id: '1', address: 'a@example.org', templateId: '7' });
    expect(putOffs.templates).toEqual([]);
    putOffs.add({ id: '2', address: 'a@example.net', templateId: '7' });
    putOffs.add({ id: '3', address: 'a@example.net', templateId: '8' });
    expect(putOffs.templates).toEqual(['7', '8']);
    for (let n = 0; n < 100; n++) putOffs.add({ id: `${n}`, address: 'a@example.net', templateId: `${n}` });
    expect(putOffs.templates).toHaveLength(20);
    putOffs.worked();
    expect(putOffs.templates).toEqual([]);
  });

  it('count from the last mail that was taken', () => {
    const putOffs = new PutOffs();
    putOffs.add({ id: '1', address: 'a@example.org', templateId: '7' });
    putOffs.worked();
    expect(putOffs.add({ id: '2', address: 'a@example.net', templateId: '7' })).toBe(false);
  });
});
