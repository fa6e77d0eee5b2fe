import type { z } from 'zod';
import type { Audience } from '../../broadcasts/audience.js';
import type { Broadcast, BroadcastChoices } from '../../broadcasts/broadcast.js';
import { USUAL_PRIORITY } from '../../delivery/message/message.js';
import { broadcastBody } from '../../broadcasts/broadcasts.schemas.js';
import { armKey, type Split } from '../../broadcasts/split.js';
import { DomainError } from '../../values/domain-error.js';
import { isCurrency, moneyToText, parseMoney } from '../../values/money.js';
import { offerFields, offerOf, offerTyped } from './broadcast-offer-form.js';
import { namesIn, namesText } from '../../values/name-list.js';

/** What was typed, by field name; a field of which several can be ticked has each of them. */
export type BroadcastTyped = Record<string, string[]>;

/** Fifty tags of the longest fit: a list that was cut would be another audience. */
const MAX_TYPED_CHARS = 12_000;
const MAX_VALUES = 200;
const FEWEST_ARMS = 3;
const MOST_ARMS = 5;

/** What a field takes, said when it does not take what was typed, and what the field is called in a list of such words. */
const ADVICE: Readonly<Record<string, string>> = {
  title: 'Give it a name of your own, of at most 200 characters.',
  template: 'Choose a mail.',
  subject: 'Use one line of at most 300 characters, or leave it empty for the subject of the mail.',
  audience: 'Say who gets it: everybody, or at least one segment, tag or funnel.',
  senderName: 'Give the name it comes from.',
  senderEmail: 'Use a complete email address, such as ada@example.com.',
  senderPostalAddress: 'Give the postal address; the law asks for it in every newsletter.',
  topic: 'Use lower-case letters, digits and hyphens, such as news, or leave it empty.',
  priority: 'Use a whole number from 1 to 9, or leave it empty for 5.',
  offer:
    'Choose an offer. A discount for these readers alone needs the time when it ends, with its offset, such as 2026-03-05T18:00:00+01:00.',
  armOffer:
    'Choose an offer for the arm. A discount for its readers alone needs the time when it ends, such as 2026-03-05T18:00:00+01:00.',
  armDelay:
    'Use whole minutes up to 10080 for the delay of an arm, and no hour beside it, or leave it empty.',
  'arms.0.subject':
    'Give at least two arms, each with another subject, mail, offer, delay or another hour; hours or delays, not both.',
  testPercent: 'Use a whole number from 1 to 90.',
  holdout:
    'Use a percentage from 1% to 50%, or leave it empty; with the percent of the test it must stay below 100 %.',
  alpha: 'Use a number from 0.001 to 0.2, or leave it empty for 0.05.',
  railUnsubscribes: 'Use a percentage from 0.01% to 50%, such as 2%, or leave it empty.',
  railComplaints: 'Use a percentage from 0.01% to 50%, such as 0.3%, or leave it empty.',
  armHour: 'Use a time of day for the hour of an arm, such as 20:00, or leave it empty.',
  waitHours: 'Use a number of hours up to 168, such as 4 or 0.5.',
  capAmount:
    'Use an amount such as 49.00, with no more decimals than its currency has; each reader’s orders count up to it.',
  capCurrency: 'Use the three letters of a currency, such as EUR.',
};

const FIELD_OF_PATH: readonly (readonly [RegExp, string])[] = [
  [/^sender\.name/, 'senderName'],
  [/^sender\.email/, 'senderEmail'],
  [/^sender/, 'senderPostalAddress'],
  [/^audience/, 'audience'],
  [/^split\.testPercent/, 'testPercent'],
  [/^split\.holdout/, 'holdout'],
  [/^split\.alpha/, 'alpha'],
  [/^split\.guardRails\.unsubscribes/, 'railUnsubscribes'],
  [/^split\.guardRails\.complaints/, 'railComplaints'],
  [/^split\.arms\.\d+\.at/, 'armHour'],
  [/^split\.arms\.\d+\.delayMinutes/, 'armDelay'],
  [/^split\.arms\.\d+\.offer/, 'armOffer'],
  [/^offer/, 'offer'],
  [/^split\.waitMinutes/, 'waitHours'],
  [/^split\.revenueCap\.currency/, 'capCurrency'],
  [/^split\.revenueCap/, 'capAmount'],
  [/^split/, 'arms.0.subject'],
];

/** The fields of a POST, as text. */
export function typedBroadcast(body: unknown): BroadcastTyped {
  const given = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  return Object.fromEntries(
    given.map(([name, value]) => [
      name,
      (Array.isArray(value) ? value : [value])
        .filter((one) => typeof one === 'string')
        .slice(0, MAX_VALUES)
        .map((one) => one.replaceAll('\r\n', '\n').trim().slice(0, MAX_TYPED_CHARS)),
    ]),
  );
}

/** An empty form, with the sender of the last broadcast; of the mail that was asked for, else of the newest that was written. */
export function newBroadcast({ sender, mails }: BroadcastChoices, asked?: unknown): BroadcastTyped {
  const wanted =
    mails.find(({ key }) => key === asked) ?? mails.find(({ key }) => key.startsWith('written/'));
  return {
    ...senderTyped(sender),
    template: [(wanted ?? mails.find(({ key }) => key === 'emails/story') ?? mails[0])?.key ?? ''],
    audience: [''],
    testPercent: ['20'],
    waitHours: ['4'],
    judge: ['clicks'],
  };
}

/** The form of a draft. */
export function typedOfBroadcast(
  broadcast: Pick<
    Broadcast,
    'title' | 'template' | 'subject' | 'offer' | 'audience' | 'sender' | 'topic' | 'split' | 'priority'
  >,
): BroadcastTyped {
  const { title, template, subject, audience, sender, topic, split, priority } = broadcast;
  const filter = 'everybody' in audience || 'resendOf' in audience ? {} : audience;
  return {
    ...{ title: [title], template: [template], subject: [subject ?? ''], topic: [topic ?? ''] },
    priority: [priority === USUAL_PRIORITY ? '' : String(priority)],
    ...senderTyped(sender),
    ...offerTyped(broadcast.offer),
    audience: ['everybody' in audience ? 'everybody' : 'some'],
    segmentsAny: filter.segments?.any ?? [],
    segmentsNone: filter.segments?.none ?? [],
    tagsAny: [namesText(filter.tags?.any ?? [])],
    tagsAll: [namesText(filter.tags?.all ?? [])],
    tagsNone: [namesText(filter.tags?.none ?? [])],
    funnel: [filter.funnel ?? ''],
    ...splitTyped(split),
  };
}

/** What the form says, or what is wrong with each field. */
export function readBroadcast(
  typed: BroadcastTyped,
  before: Pick<Broadcast, 'audience' | 'expiresAt' | 'resendOf'> | null,
): z.output<typeof broadcastBody> | { errors: Record<string, string> } {
  const isResend = before !== null && before.resendOf !== null;
  const read = broadcastBody.safeParse({
    title: one(typed, 'title'),
    template: one(typed, 'template'),
    subject: one(typed, 'subject') || null,
    offer: offerOf(typed) ?? null,
    // That of a mail sent once more is not the form's to say; any that passes will do.
    audience: isResend ? { everybody: true } : audienceOf(typed),
    sender: {
      name: one(typed, 'senderName'),
      email: one(typed, 'senderEmail'),
      postalAddress: one(typed, 'senderPostalAddress'),
    },
    topic: one(typed, 'topic') || null,
    expiresAt: before?.expiresAt?.toISOString() ?? null,
    priority: Number(one(typed, 'priority') || USUAL_PRIORITY),
    split: one(typed, 'split') === 'on' ? splitOf(typed) : null,
  });
  if (read.success) return read.data;
  const errors: Record<string, string> = {};
  for (const { path } of read.error.issues) {
    const name = path.join('.');
    const field = FIELD_OF_PATH.find(([pattern]) => pattern.test(name))?.[1] ?? name;
    errors[field] ??= ADVICE[field] ?? 'This is not accepted.';
  }
  return { errors };
}

function one(typed: BroadcastTyped, name: string): string {
  return typed[name]?.[0] ?? '';
}

function senderTyped({ name, email, postalAddress }: BroadcastChoices['sender']): BroadcastTyped {
  return { senderName: [name], senderEmail: [email], senderPostalAddress: [postalAddress] };
}

function splitTyped(split: Split | null): BroadcastTyped {
  if (split === null) return { split: [''], testPercent: ['20'], waitHours: ['4'], judge: ['clicks'] };
  const { arms, testPercent, waitMinutes, judge, revenueCap, alpha, holdout = '', guardRails } = split;
  return {
    ...{ holdout: [holdout], alpha: [alpha === undefined ? '' : String(alpha)] },
    railUnsubscribes: [guardRails?.unsubscribes ?? ''],
    railComplaints: [guardRails?.complaints ?? ''],
    ...{ split: ['on'], testPercent: [String(testPercent)], waitHours: [String(waitMinutes / 60)] },
    judge: [judge],
    capAmount: [revenueCap === undefined ? '' : (moneyToText(revenueCap).split(' ')[0] ?? '')],
    capCurrency: [revenueCap?.currency ?? ''],
    ...Object.fromEntries(
      arms.flatMap(({ subject = '', template = '', at = '', delayMinutes, offer }, arm) => [
        ...Object.entries(offerTyped(offer, `arms.${arm}.`)),
        [`arms.${arm}.delayMinutes`, [delayMinutes === undefined ? '' : String(delayMinutes)]],
        [`arms.${arm}.subject`, [subject]],
        [`arms.${arm}.at`, [at]],
        [`arms.${arm}.template`, [template]],
      ]),
    ),
  };
}

/** Left out where nothing was said, so that the schema asks for it. */
function audienceOf(typed: BroadcastTyped): unknown {
  if (one(typed, 'audience') === 'everybody') return { everybody: true };
  const list = (name: string): string[] | undefined => {
    const names = (typed[name] ?? []).filter((one) => one !== '');
    return names.length === 0 ? undefined : names;
  };
  const tags = (name: string): string[] | undefined => {
    const names = namesIn(one(typed, name));
    return names.length === 0 ? undefined : names;
  };
  return without({
    tags: without({ any: tags('tagsAny'), all: tags('tagsAll'), none: tags('tagsNone') }),
    segments: without({ any: list('segmentsAny'), none: list('segmentsNone') }),
    funnel: one(typed, 'funnel') || undefined,
  });
}

function splitOf(typed: BroadcastTyped): unknown {
  const arms = Array.from({ length: MOST_ARMS }, (_, arm) => ({
    subject: one(typed, `arms.${arm}.subject`) || undefined,
    template: one(typed, `arms.${arm}.template`) || undefined,
    at: one(typed, `arms.${arm}.at`) || undefined,
    delayMinutes: numberOf(one(typed, `arms.${arm}.delayMinutes`)),
    offer: offerOf(typed, `arms.${arm}.`),
  }));
  const last = arms.findLastIndex((arm) => Object.values(arm).some((value) => value !== undefined));
  // Next to an arm with a time of its own an empty one says something: the mail as it is, at the time of the start.
  const fewest = arms.some(({ at, delayMinutes }) => (at ?? delayMinutes) !== undefined) ? 2 : 1;
  const judge = one(typed, 'judge');
  return {
    arms: arms.slice(0, Math.max(fewest, last + 1)).map((arm) => without(arm) ?? {}),
    testPercent: Number(one(typed, 'testPercent')),
    waitMinutes: Math.round(Number(one(typed, 'waitHours')) * 60),
    judge,
    ...(judge === 'revenue' ? { revenueCap: capOf(typed) } : {}),
    holdout: percentOf(typed, 'holdout'),
    alpha: numberOf(one(typed, 'alpha')),
    guardRails: without({
      unsubscribes: percentOf(typed, 'railUnsubscribes'),
      complaints: percentOf(typed, 'railComplaints'),
    }),
  };
}

function numberOf(text: string): number | undefined {
  return text === '' ? undefined : Number(text);
}

/** The sign may be left out where it can only be meant. */
function percentOf(typed: BroadcastTyped, name: string): string | undefined {
  const given = one(typed, name);
  if (given === '') return undefined;
  return /^[\d.]+$/.test(given) ? `${given}%` : given;
}

/** Without an amount where what was typed is none, so that the schema asks for it. */
function capOf(typed: BroadcastTyped): unknown {
  const currency = one(typed, 'capCurrency').toUpperCase();
  // How many decimals an amount may have hangs on its currency: without one, only that is asked for.
  if (!isCurrency(currency)) return { amountMinor: 1, currency };
  try {
    return parseMoney(`${one(typed, 'capAmount')} ${currency}`);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return { currency };
  }
}

function without(values: Record<string, unknown>): Record<string, unknown> | undefined {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

/** What the page of the form prints. */
export function broadcastFormPage(
  typed: BroadcastTyped,
  { mails, segments, funnels, offers }: BroadcastChoices,
  errors: Record<string, string> = {},
): Record<string, unknown> {
  const field = (name: string, label: string): object => ({
    ...{ name, label, value: one(typed, name), error: errors[name] ?? null },
  });
  // What was chosen stands there even when it is not among the choices: left out, something else would be sent.
  const chosen = (name: string, options: readonly { key: string }[]): object[] => {
    const keys = new Set((typed[name] ?? []).filter((key) => key !== ''));
    const known = options.map((option) => ({ ...option, chosen: keys.has(option.key) }));
    for (const { key } of options) keys.delete(key);
    return [...known, ...[...keys].map((key) => ({ key, title: key, subject: 'not found', chosen: true }))];
  };
  const offersFor = (name: string): object[] => chosen(name, offers);
  const rows = Math.max(FEWEST_ARMS, ...Object.keys(typed).map(armRows));
  return {
    title: field('title', 'Name of your own'),
    subject: field('subject', 'Subject'),
    topic: field('topic', 'Topic'),
    priority: field('priority', 'Priority'),
    ...{ offer: offerFields({ field, chosen: offersFor }), offerError: errors['offer'] ?? null },
    mails: chosen('template', mails),
    templateError: errors['template'] ?? null,
    audience: one(typed, 'audience'),
    audienceError: errors['audience'] ?? null,
    segmentsAny: chosen('segmentsAny', segments),
    segmentsNone: chosen('segmentsNone', segments),
    tags: [
      field('tagsAny', 'Any of these tags'),
      field('tagsAll', 'All of these tags'),
      field('tagsNone', 'None of these tags'),
    ],
    funnels: chosen('funnel', funnels),
    sender: [
      field('senderName', 'Name'),
      field('senderEmail', 'Email address'),
      // Of several lines, which a field of one would run together.
      { ...field('senderPostalAddress', 'Postal address'), rows: 3 },
    ],
    split: one(typed, 'split') === 'on',
    armError: errors['arms.0.subject'] ?? null,
    arms: Array.from({ length: Math.min(rows, MOST_ARMS) }, (_, arm) => ({
      key: armKey(arm).toUpperCase(),
      subject: field(`arms.${arm}.subject`, 'Subject'),
      templateName: `arms.${arm}.template`,
      at: field(`arms.${arm}.at`, 'Hour'),
      delay: field(`arms.${arm}.delayMinutes`, 'Delay in minutes'),
      offer: offerFields({ field, chosen: offersFor }, `arms.${arm}.`),
      mails: chosen(`arms.${arm}.template`, mails),
    })),
    armErrors: ['armHour', 'armDelay', 'armOffer'].flatMap((name) =>
      errors[name] === undefined ? [] : [{ name, message: errors[name] }],
    ),
    ...testFields(field),
    revenue: one(typed, 'judge') === 'revenue',
    cap: [field('capAmount', 'Each reader counts up to'), field('capCurrency', 'Currency')],
    problems: Object.entries(errors).map(([name, message]) => ({ name, message })),
  };
}

/** Of a test, what stands in fields of one line. */
function testFields(field: (name: string, label: string) => object): Record<string, object[]> {
  return {
    numbers: [field('testPercent', 'Percent of the audience'), field('waitHours', 'Hours to wait')],
    care: [
      { ...field('holdout', 'Held out, in percent'), placeholder: 'nobody' },
      { ...field('alpha', 'Chance of a false winner'), placeholder: '0.05' },
    ],
    rails: [
      { ...field('railUnsubscribes', 'Stop an arm above so many who leave'), placeholder: 'such as 2%' },
      { ...field('railComplaints', 'Or so many who complain'), placeholder: 'such as 0.3%' },
    ],
  };
}

function armRows(name: string): number {
  const arm = /^arms\.([0-4])\./.exec(name)?.[1];
  return arm === undefined ? 0 : Number(arm) + 1;
}

/** Who a broadcast is for, in words. */
export function audienceText(audience: Audience): string {
  if ('everybody' in audience) return 'Everybody on the list';
  if ('resendOf' in audience)
    return `Those who got the first mail and have not ${audience.unless} it: nobody who has left, bought since or is suppressed`;
  const quoted = (names: readonly string[]): string => names.map((name) => `“${name}”`).join(', ');
  const { tags, segments, funnel } = audience;
  const parts = [
    segments?.any &&
      `in ${segments.any.length === 1 ? 'the segment' : 'any of the segments'} ${quoted(segments.any)}`,
    segments?.none && `not in ${quoted(segments.none)}`,
    tags?.any && `with ${tags.any.length === 1 ? 'the tag' : 'any of the tags'} ${quoted(tags.any)}`,
    tags?.all && `with all of the tags ${quoted(tags.all)}`,
    tags?.none && `without the tags ${quoted(tags.none)}`,
    funnel !== undefined && `in the funnel “${funnel}” or once in it`,
  ];
  return `People ${parts.filter((part) => typeof part === 'string').join(', ')}`;
}
