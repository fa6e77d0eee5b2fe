import { describe, expect, it } from 'vitest';
import {
  groupOfMx,
  queueKey,
  readQueueKey,
  recipientGroup,
} from '../../../../src/delivery/message/recipient-group.js';

describe('whose servers take the mail', () => {
  it.each([
    ['gmail.com', 'gmail'],
    ['googlemail.com', 'gmail'],
    ['hotmail.com', 'outlook'],
    ['hotmail.co.uk', 'outlook'],
    ['outlook.com.br', 'outlook'],
    ['live.nl', 'outlook'],
    ['msn.com', 'outlook'],
    ['yahoo.com', 'yahoo'],
    ['yahoo.co.jp', 'yahoo'],
    ['aol.com', 'yahoo'],
    ['example.com', 'other'],
    ['notgmail.com', 'other'],
    ['gmail.com.example.net', 'other'],
    ['yahoo.example.com', 'other'],
  ])('knows %s as %s', (domain, group) => expect(recipientGroup(domain)).toBe(group));

  it.each([
    ['aspmx.l.google.com', 'gmail'],
    ['ALT1.ASPMX.L.GOOGLE.COM.', 'gmail'],
    ['example-com.mail.protection.outlook.com', 'outlook'],
    ['example-com.a-v1.mx.microsoft', 'outlook'],
    ['mta5.am0.yahoodns.net', 'yahoo'],
    ['mx.example.com', 'other'],
    ['google.com.example.net', 'other'],
    ['notgoogle.com', 'other'],
  ])('finds the host of %s in the group %s', (host, group) => expect(groupOfMx(host)).toBe(group));

  it('names a queue and reads the name again', () => {
    const key = queueKey('Ada@News.Example.com', 'gmail');
    expect(key).toBe('news.example.com|gmail');
    expect(readQueueKey(key)).toEqual({ senderDomain: 'news.example.com', group: 'gmail' });
    expect(readQueueKey('example.com|other|host.example')).toEqual({
      ...{ senderDomain: 'example.com', group: 'other', receiver: 'host.example' },
    });
    expect(readQueueKey('example.com|gmail|host.example')).toBeNull();
    expect(readQueueKey('default')).toBeNull();
    expect(readQueueKey('example.com|elsewhere')).toBeNull();
    expect(queueKey('ada@bücher.example', 'gmail')).toBe('xn--bcher-kva.example|gmail');
  });
});
