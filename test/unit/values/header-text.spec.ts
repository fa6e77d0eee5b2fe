import { describe, expect, it } from 'vitest';
import { readFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { checkSubmission } from '../../../src/signup/submission.js';
import { createSubscriberSchema } from '../../../src/subscribers/subscribers.schemas.js';
import { HEADER_TEXT } from '../../../src/values/header-text.js';

const HOSTILE = [
  'Ada\r\nBcc: evil@example.net',
  'Ada\nX: y',
  'Ada\rX',
  'Ada\r\n',
  'Ada\0',
  'A\u0007da',
  'A\u007Fda',
  'A\u0085da',
  'Ada\u2028X',
  'Ada\u2029X',
  'Ada\u202Egnp.exe',
  'A\u2066da',
  'A\uD800da',
];
const HONEST = ['', 'Ada', 'Zoë Ström', '艾达', 'O’Neill, "Ada" <b>', 'آدا\u200F', 'Ada 🚀', 'a\u0301'];

describe('text that may become a header', () => {
  it.each(HOSTILE)('is not %j', (text) => expect(HEADER_TEXT.test(text)).toBe(false));
  it.each(HONEST)('may be %j', (text) => expect(HEADER_TEXT.test(text)).toBe(true));

  it.each(HOSTILE)('a name by the API is refused, naming the field: %j', (name) => {
    const parsed = createSubscriberSchema.safeParse({ email: 'ada@example.com', name });
    expect(parsed.error?.issues.map(({ path }) => path.join('.'))).toEqual(['name']);
  });

  it.each(HOSTILE)('a name in a form is refused beside the field: %j', (name) => {
    const checked = checkSubmission({ email: 'ada@example.com', name });
    expect(checked).toMatchObject({ kind: 'bad', errors: { name: expect.any(String) } });
  });

  it.each([
    ['title', (text: string) => ({ title: text })],
    ['sender.name', (text: string) => ({ sender: { name: text } })],
    ['form.headline', (text: string) => ({ form: { headline: text } })],
    ['products.0.name', (text: string) => ({ product: { name: text } })],
    ['offers.0.headline', (text: string) => ({ offer: { headline: text } })],
  ])('in a funnel file %s is refused with its line', (field, change) => {
    for (const text of HOSTILE.filter((one) => one.trim() === one && !one.includes('\uD800'))) {
      const file = readFunnelFile(funnelWith(change(text)));
      expect(file.ok ? [] : file.problems.map((problem) => problem.field)).toEqual([field]);
    }
  });

  it.each(['zoë@example.com', ' ada@example.com', '\u200Bada@example.com'])(
    'a sender address that few servers take or that has something around it is refused: %j',
    (email) => {
      const file = readFunnelFile(funnelWith({ sender: { email } }));
      expect(file.ok ? [] : file.problems.map(({ field }) => field)).toEqual(['sender.email']);
    },
  );
});

/** JSON is YAML; each part may be changed. */
function funnelWith({
  title = 'A guide',
  sender,
  form,
  product,
  offer,
}: { title?: string } & Partial<Record<'sender' | 'form' | 'product' | 'offer', object>>): string {
  return JSON.stringify({
    funnel: 'guide',
    title,
    sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St', ...sender },
    form: { slug: 'guide', headline: 'Get it', consent: 'Send it', ...form },
    sequence: { steps: [{ key: 'hello', email: 'emails/welcome' }] },
    products: [{ key: 'kit', name: 'Kit', price: '49.00 EUR', ...product }],
    offers: [{ key: 'kit', product: 'kit', ...offer }],
  });
}
