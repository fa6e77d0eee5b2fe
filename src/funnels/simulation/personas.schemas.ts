import { z } from 'zod';
import { PAUSE_DAYS, type PauseDays } from '../../privacy/preferences.js';
import { AFFILIATE_WORDS } from '../../sequences/steps/condition.js';
import { eventName } from '../../sequences/sequences.schemas.js';
import { nameSchema, tagName } from '../../subscribers/subscribers.schemas.js';
import { parseDuration, type Duration } from '../../values/duration.js';
import { parseEmailAddress } from '../../values/email-address.js';
import { canonicalTimeZone } from '../../values/zoned-time.js';
import { ownerAct, startText, virtualBroadcast, virtualSegments } from './virtual-broadcasts.schemas.js';
import { affiliateCode, duration, fieldName, key, money } from '../schemas/schema-parts.js';
import { percent, readBy, strict } from '../../values/option-parts.js';

/** A span of time; when the two ends differ, each person has a time between them. */
interface DurationRange {
  from: Duration;
  to: Duration;
}

/** Reads `2 hours` and `1 hour to 3 days`. Throws `DURATION_INVALID`. */
export function parseRange(text: string): DurationRange {
  const [from = '', to = from] = text.split(' to ');
  return { from: parseDuration(from), to: parseDuration(to) };
}

const range = readBy(parseRange, /^\s*\d{1,7} *[A-Za-z]+( to \d{1,7} *[A-Za-z]+)?\s*$/);
const zone = z
  .string()
  .refine((name) => canonicalTimeZone(name) !== null, 'use an IANA time zone, such as Europe/Berlin');
const fieldValue = z.union([z.string().max(1000), z.number(), z.boolean()], {
  error: 'use a text, a number, true or false',
});

const MOST_DAYS = 730;
export const dayCount = z
  .int(`use a number of days from 1 to ${MOST_DAYS}`)
  .min(1, `use a number of days from 1 to ${MOST_DAYS}`)
  .max(MOST_DAYS, `use a number of days from 1 to ${MOST_DAYS}`);

/** The mails of every step. No key of a step has a space. */
export const EVERY_MAIL = 'every mail';
export const EVERY_BROADCAST = 'every broadcast';
/** Before the key of one broadcast. */
export const OF_BROADCAST = 'broadcast ';
const mailKey = z.union(
  [key, z.literal([EVERY_MAIL, EVERY_BROADCAST]), z.string().regex(/^broadcast [a-z0-9]+(-[a-z0-9]+)*$/)],
  {
    error: `use the key of a step that sends a mail, "${EVERY_MAIL}", "${OF_BROADCAST}" and the key of one, or "${EVERY_BROADCAST}"`,
  },
);

const PAUSES = PAUSE_DAYS.map((days) => `${days} days`);
const pauseText = z
  .string()
  .refine(
    (text) => PAUSES.includes(text.trim()),
    `use ${PAUSES.slice(0, -1).join(', ')} or ${PAUSES.at(-1)}`,
  );

/** Of a pause that its schema has taken. */
export function pauseDays(text: string): PauseDays | undefined {
  return PAUSE_DAYS.find((days) => text.trim() === `${days} days`);
}

/** Stands for the number of the person in the address of several. */
export const NUMBER_SIGN = '#';
const address = z
  .string()
  .refine(
    (given) => parseEmailAddress(given.replaceAll(NUMBER_SIGN, '1')).ok,
    `use an address such as ada@example.com, or reader-${NUMBER_SIGN}@example.com for several people`,
  );

const timing = { after: range.optional(), chance: percent.optional() };
/** Of a broadcast's split test: only by a mail of this arm. */
const arm = z
  .string()
  .regex(/^[a-e]$/, 'use the letter of an arm, from a on')
  .optional();
/** Measured from a mail, or from the sign-up. */
const since = { afterMail: mailKey.optional(), arm, ...timing };

/**
 * The money goes back so long after the purchase: all of it, or what `refunds` says. An amount, such as 10.00 EUR, leaves
 * them what they bought; products go back with what was paid for them.
 */
const refund = {
  refundsAfter: range.optional(),
  refunds: z.union([money, z.array(key).min(1, 'name at least one product, or leave this out')]).optional(),
};

/** What the person says to an offer on the page after the payment. `after`: how long they look at it. */
const answer = z.union([strict({ takes: key, ...refund, ...timing }), strict({ declines: key, ...timing })]);

const action = z.union([
  strict({ opens: mailKey, arm, ...timing }),
  strict({ clicks: mailKey, arm, ...timing }),
  /**
   * `answers`: to the upsells and downsells that are shown after it; the first that names the offer, and whose chance
   * comes up, counts. Without one the page is closed.
   */
  strict({
    buys: key,
    withBump: z.boolean().optional(),
    ...refund,
    answers: z.array(answer).min(1, 'name at least one answer').max(20).optional(),
    ...since,
  }),
  strict({ becomesAffiliate: z.literal(true, { error: 'use true' }), ...since }),
  strict({ unsubscribes: z.literal(true, { error: 'use true' }), ...since }),
  /** No marketing mail for so long, as the page of preferences offers it, or before its time is over again after all. */
  strict({ pauses: pauseText, ...since }),
  strict({ resumes: z.literal(true, { error: 'use true' }), ...since }),
  strict({ event: eventName, key: z.string().trim().min(1).max(200).optional(), ...since }),
  strict({ tag: tagName, ...since }),
  strict({ untag: tagName, ...since }),
  /** Comes to be on a list, and is taken off it. */
  strict({ list: key, ...since }),
  strict({ unlist: key, ...since }),
  strict({
    set: z
      .record(fieldName, z.union([fieldValue, z.null()]))
      .refine((fields) => Object.keys(fields).length > 0, 'name at least one field'),
    ...since,
  }),
]);

export const ACTION_KINDS: ReadonlySet<string> = new Set([
  ...['opens', 'clicks', 'buys', 'unsubscribes', 'event', 'tag', 'untag', 'set', 'takes', 'declines'],
  ...['becomesAffiliate', 'list', 'unlist', 'pauses', 'resumes', 'cancels'],
]);

const persona = strict({
  name: key,
  count: z
    .int('use a whole number of people from 1')
    .min(1, 'use a whole number of people from 1')
    .default(1),
  /** With several, people take them in turn. */
  timeZone: z.union([zone, z.array(zone).min(1).max(50)]).optional(),
  /** Of the subscriber: what conditions on name, address and language ask for. The address is made up when left out. */
  displayName: nameSchema.optional(),
  email: address.optional(),
  locale: z.string().min(1).max(35).optional(),
  tags: z.array(tagName).max(50).default([]),
  /** Keys of the lists they are on from the beginning. */
  lists: z.array(key).max(50).default([]),
  fields: z.record(fieldName, fieldValue).default({}),
  /** False: an active subscriber from their time on who does not use the form. */
  signsUp: z.boolean({ error: 'use true or false' }).default(true),
  /** By whose link they come. */
  affiliate: affiliateCode
    .refine((code) => !AFFILIATE_WORDS.some((word) => word === code), 'use the code of an affiliate')
    .optional(),
  isAffiliate: z.boolean({ error: 'use true or false' }).default(false),
  /** Whether they agree that openings and clicks are seen. */
  trackingConsent: z.boolean({ error: 'use true or false' }).default(true),
  /** From the start of the simulation. */
  joins: range.optional(),
  /** How long after the sign-up, where the form asks. */
  confirms: z.union([z.literal('never'), duration]).optional(),
  does: z.array(action).max(100).default([]),
});

const perSpan = z.int('use a whole number from 1').min(1, 'use a whole number from 1').optional();

export const personasSchema = strict({
  start: startText.optional(),
  days: dayCount.optional(),
  /** Chance is drawn from it: the same seed gives the same timeline. */
  seed: z.union([z.string().max(100), z.number()]).default(1),
  /** As the installation has it in TIME_ZONE: segments count days by it. */
  ownerTimeZone: zone.transform((name) => canonicalTimeZone(name) ?? name).optional(),
  /** As the installation has it. */
  frequencyCap: strict({ perDay: perSpan, perWeek: perSpan }).optional(),
  /** No part of a funnel file, but they share its readers' mailboxes and their cap. */
  broadcasts: z.array(virtualBroadcast).max(200).default([]),
  /** What the owner does about the broadcasts, in the order of its times. */
  owner: z.array(ownerAct).max(200).default([]),
  /** Whom broadcasts go to, or not; as the API has the conditions. */
  segments: virtualSegments,
  personas: z.array(persona).min(1, 'name at least one persona').max(200),
});

export type Personas = z.infer<typeof personasSchema>;
export type Persona = Personas['personas'][number];
export type PersonaAction = Persona['does'][number];
export type Purchase = Extract<PersonaAction, { buys: string }>;
export type UpsellAnswer = NonNullable<Purchase['answers']>[number];
