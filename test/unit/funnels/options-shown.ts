import type { ShownBy } from '../../support/shown-by.js';

/** Spec files below `test/`. */
export const FILES = {
  affiliates: 'db/affiliates/affiliates.spec.ts',
  asked: 'unit/funnels/asked-anywhere.spec.ts',
  conditions: 'db/sequences/steps/conditions.spec.ts',
  experiments: 'db/experiments/experiments.spec.ts',
  fields: 'db/sequences/steps/fields.spec.ts',
  form: 'db/signup/form-fields.spec.ts',
  leaving: 'db/sequences/events/leaving-things.spec.ts',
  memberships: 'db/orders/memberships/memberships.spec.ts',
  newEvents: 'db/sequences/events/new-events.spec.ts',
  newFunnel: 'db/admin/new-funnel.spec.ts',
  preferences: 'db/privacy/preferences.spec.ts',
  reactions: 'db/sequences/events/reactions.spec.ts',
  published: 'db/funnels/publish/words-published.spec.ts',
  referrals: 'db/affiliates/referrals.spec.ts',
  sale: 'e2e/funnel.spec.ts',
  said: 'unit/funnels/said-otherwise.spec.ts',
  shop: 'unit/funnels/simulated-shop.spec.ts',
  simulate: 'unit/funnels/simulation/simulate.spec.ts',
  split: 'unit/funnels/schemas/split.spec.ts',
  steps: 'db/sequences/steps/steps.spec.ts',
  stopped: 'db/experiments/stopped.spec.ts',
  templates: 'db/funnels/templates/templates.spec.ts',
  walks: 'e2e/walks.spec.ts',
  webhooks: 'db/sequences/effects/webhooks.spec.ts',
} as const;

export type Shown = ShownBy<keyof typeof FILES>;

const OWN_PAGE: Shown = [
  'templates',
  'belong to the funnel: a page that was changed was in no plan, in no version and in no rollback',
];
const NEW: Shown = [
  'newFunnel',
  'goes from a few words and an upload to a visitor who gets the file and buys, in the web app alone',
];
const PAGE: Shown = ['published', 'stands on the page that visitors see'];
const OFFER_PAGE: Shown = ['published', 'stands on the page of the offer, with its price'];
const SENDER: Shown = ['published', 'is whom each mail comes from, and at the end of it'];
const said = (row: string): Shown => [
  'said',
  'what a funnel says otherwise than usual is kept to: %s',
  `'${row}'`,
];
const MADE: Shown = [
  'fields',
  'are defined by the file that asks for them, in one go, and go along with its export',
];
const INPUTS: Shown = ['form', 'shows each with an input of its type'];

/** What a visitor sees, and who writes. */
const FORM: Readonly<Record<string, Shown>> = {
  '/funnel': ['simulate', 'go on in other funnels, and come back no sooner than an hour later by a step'],
  '/title': [
    'preferences',
    'ends the series of a topic nobody wants any more, and keeps the words of the decision',
  ],
  '/sender': NEW,
  'sender/name': SENDER,
  'sender/email': SENDER,
  'sender/postalAddress': SENDER,
  '/fields': MADE,
  'fields/type': MADE,
  'fields/label': MADE,
  'fields/choices': MADE,
  '/form': NEW,
  'form/slug': ['sale', 'shows the squeeze page and refuses a bad address, keeping what was typed'],
  'form/template': OWN_PAGE,
  'form/headline': NEW,
  'form/subheadline': PAGE,
  'form/bullets': PAGE,
  'form/button': PAGE,
  'form/optIn': [
    'simulate',
    'confirm their address where the form asks, after a minute or as they say, or never',
  ],
  'form/consent': OWN_PAGE,
  'form/leadMagnet': NEW,
  'form/fields': INPUTS,
  'fields/field': INPUTS,
  'fields/required': ['form', 'says beside each what is wrong, keeps what was typed, and stores nothing'],
  '/templates': OWN_PAGE,
  'templates/file': OWN_PAGE,
};

const SOLD: Shown = [
  'simulate',
  'pay what the checkout asks of them: the price they were promised, until its deadline',
];
const DELIVERED: Shown = [
  'sale',
  'leads from the offer mail to the checkout and sells once, however often Pay is pressed',
];
const MEMBER: Shown = [
  'memberships',
  'begin with a payment, once however often it is told, and are prolonged by the next',
];
const EARNED: Shown = [
  'affiliates',
  'follows from a purchase weeks after a sign-up, in two tiers, and is explained',
];
const AFTER_ORDER: Shown = ['shop', 'are shown what follows an order, and answer it or not: %s'];

/** What is sold, and who earns by it. */
const SALE: Readonly<Record<string, Shown>> = {
  '/products': SOLD,
  'products/key': SOLD,
  'products/name': MEMBER,
  'products/description': OFFER_PAGE,
  'products/price': SOLD,
  'products/delivers': DELIVERED,
  'products/licence': DELIVERED,
  'products/membership': MEMBER,
  'membership/lasts': MEMBER,
  '/offers': SOLD,
  'offers/key': DELIVERED,
  'offers/product': said('the product of an offer'),
  'offers/headline': OFFER_PAGE,
  'offers/bullets': OFFER_PAGE,
  'offers/discount': SOLD,
  'offers/bump': SOLD,
  'offers/upsell': AFTER_ORDER,
  'offers/downsell': AFTER_ORDER,
  '/affiliates': EARNED,
  'affiliates/commission': EARNED,
  'affiliates/secondTier': EARNED,
  'affiliates/hold': said('the hold of a commission'),
  'affiliates/cookie': said('the window of a click'),
  'affiliates/attribution': [
    'referrals',
    'the terms are those of the funnel’s file: planned, applied, exported, rolled back',
  ],
};

const HOURS: Shown = [
  'walks',
  'keeps to office hours, quiet hours and weekdays over the night in which the clocks change',
];
const QUIET: Shown = ['steps', 'keep to the quiet hours of the whole sequence, in the zone it falls back to'];
const LEFT: Shown = ['reactions', 'ends the sequence at once, and what was planned is not sent: %s'];

const SEQUENCE: Readonly<Record<string, Shown>> = {
  '/sequence': LEFT,
  'sequence/window': HOURS,
  'window/days': HOURS,
  'window/from': ['steps', 'come %s', '2026-01-10T10:00:00Z'],
  'window/to': said('the end of a window'),
  // It has one value.
  'window/timezone': HOURS,
  'sequence/quietHours': QUIET,
  'quietHours/from': QUIET,
  'quietHours/to': QUIET,
  'sequence/fallbackTimezone': QUIET,
  'sequence/priority': ['reactions', 'gives the mails of a sequence its priority'],
  'sequence/enterOn': ['reactions', 'begins a sequence for active people alone'],
  'sequence/reentry': ['reactions', 'lets people join again: %s', "'reentry: after 3 days'"],
  'sequence/steps': LEFT,
  'sequence/exitOn': LEFT,
};

export const WHAT_A_FUNNEL_HAS = { ...FORM, ...SALE, ...SEQUENCE };
