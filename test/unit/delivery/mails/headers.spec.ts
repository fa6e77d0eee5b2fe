import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../../config/env.js';
import { mailHeaders, type HeaderSettings } from '../../../../src/delivery/mails/headers.js';
import { messageIdFor } from '../../../../src/delivery/message/message-id.js';
import { retryDelayMinutes } from '../../../../src/delivery/message/message.js';
import { readUnsubscribeAddress } from '../../../../src/delivery/mails/verp.js';

const SENDER = { name: 'Ada', email: 'ada@bücher.example', postalAddress: '1 Main St' };
const MESSAGE = {
  class: 'marketing',
  kind: 'sequence',
  funnelKey: 'guide',
  stepKey: 'hello',
  messageIdHeader: '<abc@example.com>',
  sender: SENDER,
} as const;
const URL = 'https://mail.example.com/u/dG9rZW4';
const SETTINGS = { bounceDomain: null, feedbackSenderId: 'wellspring', cfblAddress: null };
const valuesOf = (
  change: Partial<Parameters<typeof mailHeaders>[0]> = {},
  settings: Partial<HeaderSettings> = {},
): Record<string, string> => mailHeaders({ ...MESSAGE, ...change }, URL, { ...SETTINGS, ...settings });

describe('headers of marketing mail', () => {
  it('name the way out first and in one line, for one click', () => {
    expect(valuesOf()).toMatchObject({
      'List-Unsubscribe': `<${URL}>`,
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    });
  });

  it('offer the same by mail, second, where a domain takes it', () => {
    const [link, mailto] = (valuesOf({}, { bounceDomain: 'b.example.com' })['List-Unsubscribe'] ?? '').split(
      ', ',
    );
    expect(link).toBe(`<${URL}>`);
    const [, local = ''] =
      /^<mailto:(u\+[a-z2-7]+)@b\.example\.com\?subject=unsubscribe>$/.exec(mailto ?? '') ?? [];
    expect(readUnsubscribeAddress(local)).toBe('dG9rZW4');
  });

  it('are plain ASCII, though the sender has a domain with an umlaut', () => {
    expect(valuesOf()['List-ID']).toBe('<guide.xn--bcher-kva.example>');
  });

  it('keep List-Id to 255 octets', () => {
    const email = `ada@${'long-label-'.repeat(5)}a.${`${'x'.repeat(60)}.`.repeat(3)}example`;
    const id = valuesOf({ funnelKey: 'f'.repeat(60), sender: { ...SENDER, email } })['List-ID'] ?? '';
    expect(id.length).toBeLessThanOrEqual(257);
    expect(id).toMatch(/^<f{60}\.(x{60}\.)+example>$/);
  });

  it('tell Gmail campaign, kind, list and sender, each in words of its own', () => {
    expect(valuesOf()['Feedback-ID']).toBe('hello:sequence:guide:wellspring');
    expect(valuesOf({}, { feedbackSenderId: 'acme5' })['Feedback-ID']).toBe('hello:sequence:guide:acme5');
    expect(
      valuesOf({ funnelKey: '', stepKey: null, kind: 'broadcast', broadcastId: '7' })['Feedback-ID'],
    ).toBe('b7:broadcast:broadcasts:wellspring');
    const same =
      valuesOf({ funnelKey: 'wellspring', stepKey: 'wellspring' })['Feedback-ID']?.split(':') ?? [];
    expect(new Set(same).size).toBe(4);
    expect(same[3]).toBe('wellspring');
  });
});

describe('headers of every mail', () => {
  it('are none of a list when it is transactional', () => {
    expect(valuesOf({ class: 'transactional' })).toEqual({ 'X-Wellspring-Id': 'abc' });
  });

  it('say of a notice that no person wrote it, and of nothing else', () => {
    expect(valuesOf({ class: 'transactional', kind: 'notice' })['Auto-Submitted']).toBe('auto-generated');
    expect(valuesOf()['Auto-Submitted']).toBeUndefined();
  });

  it('say where complaints go when the owner has said so', () => {
    expect(valuesOf({}, { cfblAddress: 'fbl@example.com' })['CFBL-Address']).toBe(
      'fbl@example.com; report=arf',
    );
  });
});

describe('the settings behind them', () => {
  it.each([
    ['FEEDBACK_SENDER_ID', 'abcd'],
    ['FEEDBACK_SENDER_ID', 'a:b:c'],
    ['BOUNCE_DOMAIN', 'b.example.com\r\nBcc: x'],
    ['BOUNCE_DOMAIN', 'localhost'],
    ['CFBL_ADDRESS', 'fbl@example.com, evil@example.net'],
    ['COMPLAINT_REPORTERS', 'net'],
    ['COMPLAINT_REPORTERS', 'fbl.example.net, @example.net'],
  ])('stop the start when %s is %j', (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(`${name}: use `);
  });
});

describe('a Message-ID', () => {
  const key = Buffer.alloc(32, 1);
  it('is the same on every attempt and tells neither person nor key', () => {
    const id = messageIdFor(key, 'seq:1:hello', 'ada@example.com');
    expect(id).toMatch(/^<[a-z2-7]{26}@example\.com>$/);
    expect(messageIdFor(key, 'seq:1:hello', 'ada@example.com')).toBe(id);
    expect(messageIdFor(key, 'seq:1:hello', 'ada@bücher.example')).toBe(
      id.replace('@example.com', '@xn--bcher-kva.example'),
    );
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
