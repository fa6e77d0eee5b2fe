import { Liquid } from 'liquidjs';

/** What a mail may print of its funnel. A broadcast on no topic of a funnel has none: an empty title would be true in Liquid. */
export function funnelVariables(title: string | null): { title?: string } {
  return title === null || title === '' ? {} : { title };
}

/** What each kind of mail may print. A name outside this list would come out empty in every single mail. */
const COMMON = [
  'subscriber.firstName',
  'subscriber.name',
  'subscriber.email',
  'subscriber.fields',
  'sender.name',
  'sender.postalAddress',
  'funnel.title',
  'baseUrl',
];
const MARKETING = [...COMMON, 'unsubscribeUrl', 'preferencesUrl', 'download.url', 'download.name'];
const OFFER = [
  'offer.url',
  'offer.title',
  'offer.price',
  'offer.fullPrice',
  'offer.discountBps',
  'offer.discount',
  'offer.expiresAt',
];

export const MAIL_VARIABLES = {
  confirmation: [...COMMON, 'confirmUrl', 'form.headline'],
  sequence: MARKETING,
  offer: [...MARKETING, ...OFFER],
  receipt: [
    ...COMMON,
    'order.number',
    'order.total',
    'order.lines',
    'order.downloads',
    'order.licences',
    'order.memberships',
    'order.url',
  ],
  /** Sent by a program, which gives the data with each. */
  api: [...COMMON, 'data'],
} as const;

export type MailKind = keyof typeof MAIL_VARIABLES;

const liquid = new Liquid();

interface UnknownVariable {
  name: string;
  /** First line of the source it stands on, from 1. */
  line: number;
}

/** Variables the source prints or tests that no mail of this kind has. Throws liquidjs' own error on broken syntax. */
export function unknownVariables(source: string, kind: MailKind): UnknownVariable[] {
  const allowed: readonly string[] = MAIL_VARIABLES[kind];
  const known = (name: string): boolean =>
    allowed.some(
      (path) =>
        name === path ||
        path.startsWith(`${name}.`) ||
        name.startsWith(`${path}.`) ||
        name.startsWith(`${path}[`),
    );
  return liquid
    .globalFullVariablesSync(liquid.parse(source))
    .filter((name) => !known(name))
    .map((name) => ({ name, line: lineOf(source, name) }));
}

function lineOf(source: string, name: string): number {
  const at = source.split('\n').findIndex((line) => line.includes(name) && /\{[{%]/.test(line));
  return at < 0 ? 1 : at + 1;
}
