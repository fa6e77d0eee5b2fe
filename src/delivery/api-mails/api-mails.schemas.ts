import { z } from 'zod';
import { emailSchema } from '../../subscribers/subscribers.schemas.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../../values/header-text.js';
import { senderSchema } from '../mails/sender.schemas.js';
import { templateKey } from '../preflight/templates.schemas.js';

/** As JSON: an invoice of a thousand lines has room. It is kept with the mail. */
const MAX_DATA_CHARS = 100_000;
/** Of objects in each other. */
const MAX_DATA_DEPTH = 10;

export const apiMailRequest = z.strictObject({
  template: templateKey.meta({
    description:
      'Path below `templates/` without its ending, or the key of a mail written in the web app, such as `written/shipped`. It prints what is given as `{{ data.… }}`.',
  }),
  to: emailSchema.meta({ description: 'One address, of a subscriber or of anybody else.' }),
  data: z
    .record(z.string().max(100), z.unknown())
    .refine((data) => isWithin(data, MAX_DATA_DEPTH), `use at most ${MAX_DATA_DEPTH} objects in each other`)
    .refine(
      (data) => !isWithin(data, MAX_DATA_DEPTH) || JSON.stringify(data).length <= MAX_DATA_CHARS,
      `use at most ${MAX_DATA_CHARS} characters of JSON`,
    )
    .default({})
    .meta({
      description:
        'What the template prints as `{{ data.… }}`, as text: it is escaped, and Liquid in it is not read. Kept until 30 days after the end of the mail, as is the address of who is no subscriber.',
    }),
  subject: z
    .string()
    .trim()
    .min(1)
    .max(300)
    .regex(HEADER_TEXT, HEADER_TEXT_ADVICE)
    .optional()
    .meta({ description: 'In place of the template’s, as it stands: Liquid in it is not read.' }),
  replyTo: senderSchema.shape.email
    .optional()
    .meta({ description: 'Where answers go; left out: the sender.' }),
  funnel: z.string().max(60).optional().meta({
    description: 'Key of the funnel whose sender and title are used; left out: the sender of the first one.',
  }),
  sender: senderSchema.optional().meta({ description: 'Who it is from, in place of the funnel’s sender.' }),
});

export const apiMailPreview = z.object({
  subject: z.string(),
  html: z.string(),
  text: z.string(),
  sender: senderSchema.meta({ description: 'Who it would be from.' }),
  subscriberId: z.string().nullable().meta({ description: 'Of the subscriber with the address, if any.' }),
});

function isWithin(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((inner) => isWithin(inner, depth - 1));
}
