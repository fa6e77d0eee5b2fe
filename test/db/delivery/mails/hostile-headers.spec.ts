import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MailComposer } from '../../../../src/delivery/sending/mail-composer.service.js';
import type { ClaimedMessage } from '../../../../src/delivery/message/message.js';
import { messageIdFor } from '../../../../src/delivery/message/message-id.js';
import { TEMPLATES_DIR } from '../../../../src/infra/http/templates-dir.js';
import { BASE_URL, OPENED_AT, openPostOffice, SECRET, SENDER, type PostOffice } from '../post-office.js';

const MARKETING: ReadonlySet<string> = new Set(['welcome', 'story', 'nudge', 'deep-dive', 'offer']);
/** What a header may be talked into, beside whatever chance makes up. */
const PIECES = [
  ...['\r\n', '\n', '\r', '\0', '\t', '\u007F', '\u2028', '\u2029', '\u0085', ' ', '  ', ' '.repeat(300)],
  ...[
    '\r\nBcc: evil@example.net\r\n',
    '\r\n\r\n<script>alert(1)</script>',
    '\n.\n',
    '\r\n.\r\nMAIL FROM:<a@b>',
  ],
  ...['\u202E', '\u202A', '\u2066', '\u2069', '\u200F', '\u061C', '\uFEFF', '\u200B', '\uD800', '\uDC00'],
  ...[
    '=?utf-8?Q?=0D=0ABcc:_evil@example.net?=',
    '=?',
    '?=',
    '=?utf-8?B?',
    '=?utf-8?q?x?= =?utf-8?q?y?=',
    '=\r\n?',
  ],
  ...[
    '"',
    '\\',
    '\\"',
    ',',
    ';',
    ':',
    '<',
    '>',
    '<evil@example.net>',
    '"a" <evil@example.net>',
    '(',
    ')',
    '@',
  ],
  ...[
    'evil@example.net, other@example.net',
    'group: evil@example.net;',
    '--',
    '=_',
    '{{ 7 | times: 7 }}',
    '{%',
  ],
  ...['🚀', '👩‍👩‍👧‍👦', '🏳️‍🌈', 'é', 'e\u0301\u0301', 'שרה כהן', 'محمد بن سلمان', '艾达', 'Żółć', 'Grace', 'a', 'I'],
  ...[
    'x'.repeat(77),
    'y'.repeat(250),
    '"'.repeat(199),
    'é'.repeat(400),
    'long word '.repeat(1_000),
    'z'.repeat(10_000),
  ],
];
const hostile = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...PIECES) },
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
    {
      maxLength: 6,
    },
  )
  .map((parts) => parts.join(''));

const ADDRESSES = [
  'reader@example.org',
  'kaethe@bücher.example',
  'käthe@bücher.example',
  'محمد@example.org',
  "o'brien+a=b/c!#$%&*?^_`{|}~@example.org",
  `${'l'.repeat(64)}@${'d'.repeat(60)}.example`,
];

const MANY_SIGNS = {
  at: 0,
  address: 'reader@example.org',
  name: '🎈'.repeat(400),
  sender: 'Ada',
  other: 'x',
};

const NOT_SHOWN = /[\p{Cc}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u;

/** M1 to M8, M11, M14 and M17 for every mail of this folder, whatever a reader, a buyer or the owner has typed. */
describe('headers of every mail, with hostile values in every field', () => {
  let t: PostOffice;
  let composer: MailComposer;
  let templates: { name: string; id: string }[];
  beforeAll(async () => {
    t = await openPostOffice({ BOUNCE_DOMAIN: 'b.example.com', CFBL_ADDRESS: 'fbl@example.com' });
    composer = t.app.get(MailComposer, { strict: false });
    const files = await readdir(join(TEMPLATES_DIR, 'emails'));
    templates = [];
    for (const file of files.filter((one) => one.endsWith('.mjml'))) {
      const name = file.slice(0, -'.mjml'.length);
      templates.push({ name, id: await t.templates.publish(t.db.manager, `emails/${name}`) });
    }
    const subject = '{{ subscriber.name }} {{ subscriber.fields.word }} for {{ sender.name }}';
    const personal = await t.templates.compile('emails/story', subject);
    templates.push({ name: 'story', id: await t.templates.store(t.db.manager, 'emails/story', personal) });
  });
  afterAll(async () => t.close());

  it('stay whole: each once, in lines that servers take, to the one reader, with the name that was given', async () => {
    let made = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          at: fc.nat(),
          address: fc.constantFrom(...ADDRESSES),
          name: hostile,
          sender: hostile,
          other: hostile,
        }),
        async ({ at, address, name, sender, other }) => {
          const template = templates[at % templates.length] ?? templates[0];
          if (!template) throw new Error('there are no templates');
          const mail = await composed(mailOf(template, { address, name, sender, other }));
          if (mail === null) return;
          made++;
          await check(mail, { address, name, sender, marketing: MARKETING.has(template.name) });
        },
      ),
      // A name of 400 signs that are 800 units is whole.
      { numRuns: 300, seed: 20260302, endOnFailure: true, examples: [[MANY_SIGNS]] },
    );
    // Those with a line break in their subject are refused.
    expect(made).toBeGreaterThan(150);
  }, 120_000);

  interface Given {
    address: string;
    name: string;
    sender: string;
    other: string;
  }

  function mailOf(
    { name: template, id }: { name: string; id: string },
    { address, name, sender, other }: Given,
  ): ClaimedMessage {
    const url = `${BASE_URL}/x/token`;
    const amount = { amountMinor: 3_430, currency: 'EUR' };
    return {
      ...{
        id: '7',
        epoch: 1,
        attempt: 1,
        priority: 5,
        queueKey: 'x',
        broadcastId: null,
        unknownCount: 0,
        sendHoursId: null,
      },
      class: MARKETING.has(template) ? 'marketing' : 'transactional',
      kind: MARKETING.has(template) ? 'sequence' : 'receipt',
      ...{ address, subscriberId: '1', subscriberName: name, subscriberFields: { word: other } },
      ...{ messageIdHeader: messageIdFor(SECRET, `test:${template}`, SENDER.email), templateId: id },
      sender: { ...SENDER, name: sender },
      ...{ funnelKey: 'niche-ebook', funnelTitle: other, stepKey: 'welcome', trackingConsent: true },
      createdAt: OPENED_AT,
      data: {
        ...{ download: { url, name: other }, confirmUrl: url, form: { headline: other } },
        ...{
          newAddressUrl: url,
          addressBefore: 'a***',
          addressBackUrl: url,
          addressNew: 'b***',
          hours: 24,
          days: 7,
        },
        ...{ dataUrl: url, eraseUrl: url, minutes: 30, person: { id: '1', url } },
        ...{ notice: { count: 1, more: 0, sequence: other, step: other, text: other } },
        ...{ partner: { minutes: 30, name: other, url } },
        offer: {
          ...{ slug: 'kit', title: other, price: amount, fullPrice: amount, discountBps: 3_000 },
          expiresAt: '2026-03-05T09:00:00Z',
        },
        order: {
          ...{ number: 'A-1', total: amount, refunded: amount, refund: { amount }, takenBack: [other], url },
          lines: [{ name: other, amount }],
          downloads: [{ url, name: other }],
          licences: [{ product: other, key: 'ABCDE' }],
        },
      },
    };
  }

  /** Null for a mail that is refused as it stands. */
  async function composed(
    message: ClaimedMessage,
  ): Promise<{ raw: string; to: string; from: string } | null> {
    try {
      const { raw, to, from } = await composer.compose(message);
      return { raw: raw.toString('utf8'), to, from };
    } catch (error) {
      if ((error as { code?: string }).code !== 'MAIL_UNSENDABLE') throw error;
      return null;
    }
  }

  async function check(
    { raw, to, from }: { raw: string; to: string; from: string },
    {
      address,
      name,
      sender,
      marketing,
    }: { address: string; name: string; sender: string; marketing: boolean },
  ): Promise<void> {
    const head = raw.slice(0, raw.indexOf('\r\n\r\n'));
    const fields = head.split(/\r\n(?![ \t])/);
    const names = fields.map((field) => field.slice(0, field.indexOf(':')).toLowerCase());
    const expected = [
      ...['from', 'to', 'subject', 'date', 'message-id', 'x-wellspring-id', 'cfbl-address'],
      ...['mime-version', 'content-type'],
      ...(marketing ? ['list-id', 'list-unsubscribe', 'list-unsubscribe-post', 'feedback-id'] : []),
    ];
    expect(names.filter((one) => one !== 'auto-submitted').toSorted()).toEqual(expected.toSorted());
    for (const line of raw.split('\r\n')) {
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(998);
      expect(line).not.toMatch(/[\r\n\0]/);
    }
    // A line of nothing but blanks ends the head for some.
    for (const line of head.split('\r\n')) expect(line).toMatch(/\S/);
    const local = address.slice(0, address.lastIndexOf('@'));
    expect(head.replaceAll(local, '').replaceAll('\r\n', '')).not.toMatch(/[^\u0020-\u007E\t]/);
    expect(to.slice(0, to.lastIndexOf('@'))).toBe(local);
    expect(from).toMatch(/^b\+[a-z0-9.]+@b\.example\.com$/);
    const seen = await PostalMime.parse(raw);
    expect(seen.to?.map((one) => one.address)).toHaveLength(1);
    expect(seen.to?.[0]?.address?.slice(0, local.length)).toBe(local);
    expect(seen.from?.address).toBe(SENDER.email);
    expectName(seen.to?.[0], name);
    expectName(seen.from, sender);
    expect(seen.subject).not.toMatch(NOT_SHOWN);
    expect(seen.html).not.toMatch(/<script>alert/);
  }

  function expectName(seen: { name?: string } | undefined, given: string): void {
    const shown = seen?.name ?? '';
    expect(shown).not.toMatch(NOT_SHOWN);
    const whole = words(given);
    if ([...whole].length <= 500) {
      expect(words(shown)).toBe(whole);
      return;
    }
    expect(shown.endsWith('…')).toBe(true);
    expect(shown.length).toBeGreaterThan(400);
    expect(whole.startsWith(words(shown.slice(0, -1)))).toBe(true);
  }
});

/** As people read it: runs of blanks are one, and what no header may hold is none. */
function words(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069\uFEFF]+/gu, ' ')
    .trim();
}
