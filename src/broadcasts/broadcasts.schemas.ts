import { z } from 'zod';
import { senderSchema } from '../delivery/sender.schemas.js';
import { pageOf } from '../infra/http/page.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../values/header-text.js';
import { audienceSchema } from './audience.js';
import { BROADCAST_STATES } from './broadcast-status.js';

const instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

const title = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(200, 'at most 200 characters')
  .regex(HEADER_TEXT, HEADER_TEXT_ADVICE);
const template = z
  .string()
  .regex(
    /^[a-z0-9-]+(\/[a-z0-9-]+)+$/,
    'use the path below templates/ without its ending, such as emails/story',
  )
  .meta({ description: 'The mail, as a path below `templates/`. Its words are frozen at the start.' });
const topic = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use lower-case letters, digits and single hyphens, such as news')
  .max(60)
  .nullable()
  .meta({
    description:
      'What readers can opt out of: a funnel, or a name of your own. Left out: the funnel, or `news`.',
  });
const expiresAt = instant
  .nullable()
  .meta({ description: 'A mail that is not sent by then is not sent at all.' });

const key = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use lower-case letters, digits and single hyphens, such as launch-2026')
  .max(60)
  .nullable()
  .meta({
    description:
      'A name of your own. Writing one with a key that is taken gives the broadcast that has it, unchanged.',
  });

export const broadcastBody = z.strictObject({
  key: key.default(null),
  title,
  template,
  audience: audienceSchema,
  sender: senderSchema,
  topic: topic.default(null),
  expiresAt: expiresAt.default(null),
});

export const broadcastChange = z
  .strictObject({
    title: title.optional(),
    template: template.optional(),
    audience: audienceSchema.optional(),
    sender: senderSchema.optional(),
    topic: topic.optional(),
    expiresAt: expiresAt.optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'name at least one field to change');

export const startBody = z
  .strictObject({ at: instant.optional().meta({ description: 'When; left out: now.' }) })
  .optional();

export const broadcastResponse = z.object({
  id: z.string(),
  key: z.string().nullable(),
  title: z.string(),
  template: z.string(),
  audience: z.record(z.string(), z.unknown()),
  sender: z.object({ name: z.string(), email: z.string(), postalAddress: z.string() }),
  topic: z.string(),
  state: z.enum(BROADCAST_STATES),
  stateReason: z.string().nullable(),
  scheduledAt: z.string().nullable(),
  expiresAt: z.string().nullable(),
  startedAt: z.string().nullable(),
  plannedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  createdAt: z.string(),
});

export const broadcastReport = broadcastResponse.extend({
  counts: z
    .record(z.string(), z.number().int())
    .meta({ description: 'Mails per state, counted in the ledger; a state without a mail is left out.' }),
  complete: z.boolean().meta({ description: 'Every mail is written, and none of them is open any more.' }),
});

export const broadcastPage = pageOf(broadcastResponse);
export const audienceSize = z.object({
  size: z.number().int().meta({ description: 'Active subscribers who would get it if it started now.' }),
});
