import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { MessageKind } from '../../../src/delivery/message/message.js';
import { BASE_URL } from './post-office.js';

/** Every mail that lies in the repository, without its ending. */
export const TEMPLATES: readonly string[] = readdirSync(
  new URL('../../../templates/emails', import.meta.url),
).map((file) => file.replace(/\.mjml$/, ''));

export const FIXTURES = fileURLToPath(new URL('../../fixtures/', import.meta.url));

/** Mails in the manner of other builders and times, as people bring them along. */
export const BROUGHT: readonly string[] = readdirSync(`${FIXTURES}brought-mails`).map(
  (file) => `brought-mails/${file.replace(/\.mjml$/, '')}`,
);

/** As its owner writes one in the web app, under this key. */
export const WRITTEN_KEY = 'written/news';
export const WRITTEN_MAIL = {
  subject: 'News of the week',
  preview: 'What there is to tell',
  body: `Dear {{ subscriber.firstName | default: 'reader' }},

This week there is **much** to tell, and [a page](https://example.org/news?a=1&b=2) to read on.

- how the workshop went
- who came, and what everybody learned there`,
};

/** What the application plans them as; any other goes out as one of a sequence. */
const KINDS: Readonly<Record<string, MessageKind>> = {
  confirm: 'confirmation',
  receipt: 'receipt',
  'credit-note': 'receipt',
  'my-data': 'notice',
  erase: 'notice',
  'new-address': 'notice',
  'address-changed': 'notice',
  'owner-alerts': 'notice',
  'owner-notice': 'notice',
  'partner-login': 'notice',
  shipped: 'api',
};

export function kindOf(template: string): MessageKind {
  return KINDS[template] ?? 'sequence';
}

const EUR = (amountMinor: number): object => ({ amountMinor, currency: 'EUR' });

/** All that any of them prints, with this text wherever somebody can write one. */
export function dataWith(text: string): Record<string, unknown> {
  return {
    download: { url: 'https://files.example.com/guide.pdf?a=1&b=2', name: text },
    confirmUrl: `${BASE_URL}/confirm/token`,
    form: { headline: text },
    offer: {
      slug: 'kit',
      title: text,
      price: EUR(3430),
      fullPrice: EUR(4900),
      discountBps: 3000,
      expiresAt: '2026-03-05T09:00:00Z',
    },
    order: {
      number: 'A-1',
      total: EUR(3430),
      lines: [{ name: text, amount: EUR(3430) }],
      downloads: [{ url: 'https://files.example.com/kit.zip', name: text }],
      licences: [{ product: text, key: 'ABCDE' }],
      url: BASE_URL,
      ...{ refunded: EUR(3430), hasLost: true, isAll: true, takenBack: [text] },
      refund: { amount: EUR(3430), lines: [{ name: text, amount: EUR(3430) }] },
    },
    ...{ eraseUrl: `${BASE_URL}/erase/token`, dataUrl: `${BASE_URL}/my-data/token`, minutes: 30 },
    data: { order: text, carrier: text, url: 'https://shop.example.com/A-1?a=1&b=2' },
    ...{ newAddressUrl: `${BASE_URL}/new-address/token`, addressBefore: 'a***@example.com', hours: 24 },
    ...{ addressBackUrl: `${BASE_URL}/address-back/token`, addressNew: 'b***@example.com', days: 7 },
    partner: { name: text, url: `${BASE_URL}/partner/token`, minutes: 30 },
    alerts: { list: [text, text], url: `${BASE_URL}/admin/sending` },
    notice: {
      ...{ count: 2, more: 1, sequence: text, step: text, text },
      people: [{ id: '1', url: `${BASE_URL}/admin/subscribers/1` }],
    },
  };
}
