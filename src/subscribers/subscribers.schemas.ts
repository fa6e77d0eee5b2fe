import { z } from 'zod';
import { pageOf, pageQuery } from '../infra/http/page.js';
import { parseEmailAddress, type EmailAddressParse } from '../values/email-address.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../values/header-text.js';
import { canonicalLocale } from '../values/locale.js';
import { canonicalTimeZone } from '../values/zoned-time.js';
import type { Subscriber, Suppression } from './subscriber.js';
import { SUBSCRIBER_STATUSES } from './subscription-status.js';

const MAX_FIELDS = 50;

/** An address as its parts; refused with the reason a person can act on. */
export const emailSchema = z
  .string()
  .transform((text, context): Extract<EmailAddressParse, { ok: true }> => {
    const parsed = parseEmailAddress(text);
    if (parsed.ok) return parsed;
    context.addIssue({
      code: 'custom',
      message: `This is not an email address we can write to: ${parsed.reason}`,
    });
    return z.NEVER;
  })
  .meta({ description: 'An email address.' });

/** No line breaks and other controls: a name ends up in mail headers. */
export const nameSchema = z.string().regex(HEADER_TEXT, HEADER_TEXT_ADVICE).trim().max(100);

const timeZoneSchema = z
  .string()
  .max(100)
  .transform((name, context) => {
    const zone = canonicalTimeZone(name);
    if (zone !== null) return zone;
    context.addIssue({ code: 'custom', message: 'use an IANA time zone, such as Europe/Berlin' });
    return z.NEVER;
  });

const localeSchema = z
  .string()
  .max(35)
  .transform((text, context) => {
    const locale = canonicalLocale(text);
    if (locale !== null) return locale;
    context.addIssue({ code: 'custom', message: 'use a language of BCP 47, such as de or pt-BR' });
    return z.NEVER;
  })
  .meta({ description: 'The language they read, as BCP 47 writes it: `de`, `pt-BR`.' });

export const fieldKey = z
  .string()
  .regex(/^[a-z][a-zA-Z0-9]{0,49}$/, 'name a field in camelCase, at most 50 characters');

/** What lists and segments are called by programs and by each other. */
export const objectKey = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use lower-case letters, digits and single hyphens, such as customers')
  .max(60);

const fieldsSchema = z
  .record(fieldKey, z.union([z.string().max(1000), z.number(), z.boolean(), z.null()]))
  .refine((fields) => Object.keys(fields).length <= MAX_FIELDS, `use at most ${MAX_FIELDS} fields`)
  .meta({ description: 'By the keys of fields that are defined; others are refused.' });

export const tagName = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u, 'use letters and signs, without line breaks');

export const subscriberSchema = z
  .object({
    id: z.string(),
    email: z.string(),
    name: z.string().nullable(),
    status: z.enum(SUBSCRIBER_STATUSES),
    timeZone: z.string().nullable(),
    locale: z.string().nullable(),
    fields: z.record(z.string(), z.unknown()),
    pausedUntil: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'Until then they have asked for no marketing mail.' }),
    trackingConsent: z.boolean(),
    tags: z.array(z.string()),
    createdAt: z.iso.datetime(),
    confirmedAt: z.iso.datetime().nullable(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Subscriber' });

export type SubscriberJson = z.output<typeof subscriberSchema>;

/** All of them is written by somebody. */
export const writtenOfSubscriber = (subscriber: SubscriberJson): unknown => subscriber;

export const subscriberPage = pageOf(subscriberSchema);

export const subscriberQuery = pageQuery.extend({
  email: emailSchema.optional().meta({ description: 'Only the subscriber with this address.' }),
});

export const createSubscriberSchema = z.strictObject({
  email: emailSchema,
  name: nameSchema.optional(),
  timeZone: timeZoneSchema.optional(),
  locale: localeSchema.optional(),
  fields: fieldsSchema.optional(),
  tags: z.array(tagName).max(50).default([]),
  consent: z
    .strictObject({
      text: z.string().trim().min(1).max(2000),
      at: z.iso.datetime({ offset: true }).optional(),
      pageUrl: z
        .url({ protocol: /^https?$/ })
        .max(2000)
        .optional(),
      ip: z.union([z.ipv4(), z.ipv6()]).optional(),
      userAgent: z.string().max(500).optional(),
    })
    .optional()
    .meta({
      description: 'What the person agreed to, where and when. Kept as evidence; the status stays pending.',
    }),
});

export const updateSubscriberSchema = z.strictObject({
  email: emailSchema.optional().meta({
    description:
      'From now on their mails go there, those that wait as well; links of mails that have gone go on working. Somebody else’s address and one that no list mail goes to are refused. Who has left or complained stays so; who bounced is written to again. To have them confirm it first: `POST /api/v1/subscribers/{id}/ask-new-address`.',
  }),
  emailNote: z
    .string()
    .trim()
    .min(1)
    .max(300)
    .optional()
    .meta({ description: 'How they told you. Kept as evidence with the change of the address.' }),
  name: nameSchema.nullable().optional(),
  timeZone: timeZoneSchema.nullable().optional(),
  locale: localeSchema.nullable().optional(),
  fields: fieldsSchema.optional().meta({
    description:
      'Merged into the present ones; null removes a field. One that is not defined is refused, unless they have it.',
  }),
});

export const addTagSchema = z.strictObject({ name: tagName });

export const tagSchema = z
  .object({ id: z.string(), name: z.string(), subscribers: z.number().int(), createdAt: z.iso.datetime() })
  .meta({ id: 'Tag' });

export const suppressionSchema = z
  .object({
    id: z.string(),
    emailHash: z.string().meta({ description: 'HMAC of the address; the address itself is not kept.' }),
    scope: z.enum(['all', 'marketing']),
    reason: z.enum(['unsubscribed', 'hard_bounce', 'soft_bounce', 'complaint', 'erased', 'manual']).meta({
      description:
        '`soft_bounce`: five mails in a row did not arrive, and no server has said that the address is dead. It ends marketing alone, and whoever confirms anew takes it off, or `POST /api/v1/subscribers/{id}/write-again`.',
    }),
    source: z.string(),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Suppression' });

export const createSuppressionSchema = z.strictObject({
  email: emailSchema,
  scope: z.enum(['all', 'marketing']).default('all'),
});

export function subscriberJson(subscriber: Subscriber): SubscriberJson {
  const { id, email, name, status, timeZone, locale, fields, trackingConsent, tags } = subscriber;
  return {
    ...{ id, email, name, status, timeZone, locale, fields, trackingConsent, tags },
    createdAt: subscriber.createdAt.toISOString(),
    confirmedAt: subscriber.confirmedAt?.toISOString() ?? null,
    pausedUntil: subscriber.pausedUntil?.toISOString() ?? null,
    updatedAt: subscriber.updatedAt.toISOString(),
  };
}

export function suppressionJson(suppression: Suppression): z.output<typeof suppressionSchema> {
  return { ...suppression, createdAt: suppression.createdAt.toISOString() };
}
