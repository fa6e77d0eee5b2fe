import type { FunnelDefinition } from '../../funnels/schemas/funnel.schemas.js';
import type { FormField } from '../../signup/form-fields.js';
import { applyDiscountBps, type Money, moneyOf, parseMoney, parsePercentBps } from '../../values/money.js';
import { DAY_MS } from '../../values/time-units.js';
import { SAMPLE_READER } from '../../delivery/mails/sample-data.js';

/** Nothing happens where it leads: the page is shown in a frame that sends no form. */
const NOWHERE = '#';
const { email, name } = SAMPLE_READER;
const READER = { email, name };

/**
 * What a page of the funnel prints, as the product would give it for an invented reader; null for a template that is no page
 * of its own. Where the funnel has several offers, the first one stands for all. `asked`: what its form asks beside address
 * and name.
 */
export function samplePage(
  name: string,
  definition: FunnelDefinition,
  { now, asked }: { now: Date; asked: readonly FormField[] },
): object | null {
  const { form, sender, title } = definition;
  const footer = { senderName: sender.name, postalAddress: sender.postalAddress };
  const fields = asked.map((field) => ({ ...field, value: '' }));
  const formView = { ...form, fields, title, funnelTitle: title };
  if (name === form.template) {
    const view = { form: { ...formView, consent: form.consent }, values: {}, errors: {}, issuedToken: '' };
    return { ...view, footer };
  }
  switch (name) {
    case 'pages/check-inbox':
      return { form: formView, email: READER.email, suggestion: null, footer, signedUp: true };
    case 'pages/confirm':
      return { action: NOWHERE, form: { title }, sender, footer };
    case 'pages/confirmed': {
      const download =
        form.leadMagnet === undefined
          ? {}
          : { downloadUrl: NOWHERE, downloadName: fileName(form.leadMagnet) };
      return { form: { title }, footer, mailComes: true, ...download };
    }
    default:
      return saleView(name, definition, { footer, now });
  }
}

function saleView(
  name: string,
  definition: FunnelDefinition,
  { footer, now }: { footer: object; now: Date },
): object | null {
  const { offers, products } = definition;
  const more = offers.find(({ key }) => offers.some(({ upsell }) => upsell === key));
  const first = offers.find((one) => one !== more);
  const offer = (name === 'pages/upsell' ? more : first) ?? offers[0];
  const product = products.find(({ key }) => key === offer?.product);
  if (offer === undefined || product === undefined) return null;
  const fullPrice = parseMoney(product.price);
  const discountBps = offer.discount === undefined ? 0 : parsePercentBps(offer.discount);
  const price = moneyOf(applyDiscountBps(fullPrice.amountMinor, discountBps), fullPrice.currency);
  const shown = {
    ...{ title: product.name, headline: offer.headline ?? product.name, description: product.description },
    ...{ bullets: offer.bullets, price, fullPrice, discountBps, expired: false },
  };
  const order = { number: 'WS-000001', total: price, lines: [{ name: product.name, amount: price }] };
  const common = { offer: shown, product, footer };
  switch (name) {
    case 'pages/offer': {
      const expiresAt = new Date(now.getTime() + 2 * DAY_MS).toISOString();
      const deadline = discountBps > 0 ? { expiresAt } : {};
      return { ...common, offer: { ...shown, ...deadline }, checkoutUrl: NOWHERE, now: now.toISOString() };
    }
    case 'pages/checkout':
      return {
        ...{ ...common, price, action: NOWHERE, token: '', errors: {}, values: { ...READER, bump: false } },
        ...bumpView(definition, offer.bump, price),
      };
    case 'pages/upsell':
      return { ...common, order, action: NOWHERE };
    case 'pages/declined':
      return { retryUrl: NOWHERE, footer };
    case 'pages/thanks':
      return {
        orders: [order],
        downloads: product.delivers.map((file) => ({ name: fileName(file), url: NOWHERE })),
        memberships: product.membership === undefined ? [] : [{ product: product.name, until: null }],
        licences: product.licence ? [{ product: product.name, key: 'AAAA-BBBB-CCCC-DDDD' }] : [],
        footer,
      };
    default:
      return null;
  }
}

function bumpView({ products }: FunnelDefinition, key: string | undefined, price: Money): object {
  const product = products.find((one) => one.key === key);
  if (product === undefined) return {};
  const own = parseMoney(product.price);
  const bump = { name: product.name, description: product.description, price: own };
  return { bump, totalWithBump: moneyOf(price.amountMinor + own.amountMinor, price.currency) };
}

function fileName(path: string): string {
  return path.split('/').at(-1) ?? path;
}
