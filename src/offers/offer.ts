import type { KeptTexts } from '../values/template-texts.js';
import type { Money } from '../values/money.js';

export interface Product {
  id: string;
  key: string;
  funnelKey: string;
  name: string;
  description: string;
  price: Money;
  /** Ids of stored files, in the order in which they are delivered. */
  fileIds: string[];
  licence: boolean;
  /** How long it makes its buyer a member, such as `12 months` or `for good`; null: it does not. */
  membership: string | null;
}

export interface OfferContent {
  title: string;
  headline?: string | undefined;
  description?: string | undefined;
  bullets?: string[] | undefined;
  funnelTitle?: string | undefined;
  /** Which mail confirms the order; without one the thanks page is the only place that delivers. */
  receiptTemplateId?: string | undefined;
  /** The texts of its pages and of what they include; without them the pages are those of the folder. */
  pages?: KeptTexts | undefined;
}

/** Who stands under the pages and mails of an offer. */
export interface OfferSender {
  name: string;
  email: string;
  postalAddress: string;
}

export interface Offer {
  id: string;
  slug: string;
  funnelKey: string;
  content: OfferContent;
  discountBps: number;
  /** The discount is for subscribers to whom a step of a sequence granted it, until their own deadline. */
  personalDeadline: boolean;
  sender: OfferSender;
  product: Product;
  /** Slug of the offer that who has bought this one is shown next. */
  upsell: string | null;
  /** Slug of the offer that follows when the upsell is declined. */
  downsell: string | null;
  /** Sold at its full price beside the product. */
  bump: Product | null;
}
