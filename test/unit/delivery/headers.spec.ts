import { describe, expect, it } from 'vitest';
import { listHeaders } from '../../../src/delivery/headers.js';
import { messageIdFor } from '../../../src/delivery/message-id.js';
import { retryDelayMinutes } from '../../../src/delivery/message.js';

const SENDER = { name: 'Ada', email: 'ada@bücher.example', postalAddress: '1 Main St' };
const MESSAGE = {
  class: 'marketing',
  kind: 'sequence',
  funnelKey: 'guide',
  stepKey: 'hello',
  sender: SENDER,
} as const;
const URL = 'https://mail.example.com/u/token';

describe('list headers', () => {
  it('name the way out first and in one line, for one click', () => {
    expect(listHeaders(MESSAGE, URL)).toMatchObject({
      'List-Unsubscribe': { value: `<${URL}>`, foldLines: false },
      'List-Unsubscribe-Post': { value: 'List-Unsubscribe=One-Click' },
    });
  });

  it('are plain ASCII, though the sender has a domain with an umlaut', () => {
    expect(listHeaders(MESSAGE, URL)['List-ID']?.value).toBe('<guide.xn--bcher-kva.example>');
  });

  it('are left out of transactional mail', () => {
    expect(listHeaders({ ...MESSAGE, class: 'transactional' }, URL)).toEqual({});
  });
});

describe('a Message-ID', () => {
  const key = Buffer.alloc(32, 1);
  it('is the same on every attempt and tells neither person nor key', () => {
    const id = messageIdFor(key, 'seq:1:hello', 'ada@example.com');
    expect(id).toMatch(/^<[a-z2-7]{26}@example\.com>$/);
    expect(messageIdFor(key, 'seq:1:hello', 'ada@example.com')).toBe(id);
  });

  it('differs by mail and by installation', () => {
    const ids = [
      messageIdFor(key, 'seq:1:hello', 'ada@example.com'),
      messageIdFor(key, 'seq:2:hello', 'ada@example.com'),
      messageIdFor(Buffer.alloc(32, 2), 'seq:1:hello', 'ada@example.com'),
    ];
    expect(new Set(ids).size).toBe(3);
  });
});

it('waits longer after each refusal and ends after about a day', () => {
  const delays = Array.from({ length: 8 }, (_, index) => retryDelayMinutes(index + 1));
  expect(delays).toEqual([1, 5, 15, 60, 240, 480, 720, null]);
});
