import { z } from 'zod';
import { idSchema, pageOf } from '../../infra/http/page.js';
import { emailSchema } from '../../subscribers/subscribers.schemas.js';
import { senderSchema } from '../mails/sender.schemas.js';
import { MAIL_VARIABLES, type MailKind } from '../mails/template-variables.js';

export const templateKey = z
  .string()
  .max(200)
  .regex(
    /^[a-z0-9-]+(\/[a-z0-9-]+)+$/,
    'use the path below templates/ without its ending, such as emails/welcome',
  )
  .meta({ description: 'Path below `templates/` without its ending.' });
const funnel = z.string().max(60).optional().meta({
  description:
    'Key of the funnel whose sender and title are used; when left out, of one that sends the mail, else the first one.',
});
const kind = z
  .enum(Object.keys(MAIL_VARIABLES) as [MailKind, ...MailKind[]])
  .optional()
  .meta({ description: 'What the mail is for; read from the variables it prints when left out.' });

const templateSummary = z.object({
  id: z.string(),
  key: z.string(),
  subject: z.string().meta({ description: 'As written, with its variables.' }),
  createdAt: z.iso.datetime(),
});
export const templatePage = pageOf(templateSummary);
export const templateResponse = templateSummary.extend({
  mjml: z.string(),
  text: z.string(),
  versions: z.number().int().meta({ description: 'How many versions of this mail there are.' }),
});

const step = z.string().max(60).optional().meta({
  description:
    'Key of the step, where several send the mail; when left out, the first, one with an offer before one without.',
});
const arm = z.string().max(60).optional().meta({
  description: 'Key of an arm of the split test that the mail is in; when left out, the first.',
});
const subscriberId = idSchema
  .optional()
  .meta({ description: 'Whose it is; left out: a reader who is made up.' });
export const previewRequest = z.strictObject({
  template: templateKey,
  funnel,
  step,
  arm,
  kind,
  subscriberId,
});
/** Where a test goes. */
const testTo = emailSchema.meta({
  description: 'An address of your own. One that is on the suppression list gets nothing.',
});
export const testRequest = previewRequest.extend({ to: testTo });
export const broadcastTestRequest = z.strictObject({
  to: testTo,
  arm: z
    .string()
    .regex(/^([a-z]|rest)$/, 'use the letter of an arm, or rest')
    .optional()
    .meta({
      description:
        'Of its split test, by its letter; `rest` where the rest has been given other words. Left out: `a`.',
    }),
});
export const testResponse = z.object({
  messageId: z.string().meta({ description: '`GET /api/v1/messages/{id}` says what becomes of it.' }),
  to: z.string(),
  subject: z.string(),
});

export const previewResponse = z.object({
  subject: z.string(),
  html: z.string(),
  text: z.string(),
  invented: z.array(z.string()).meta({
    description:
      'What of the mail is an example, as nobody can know it before, such as `order`; empty when all of it is as this subscriber would get it.',
  }),
  step: z.string().nullable().meta({ description: 'Key of the step that sends it; null when none does.' }),
  arm: z
    .string()
    .nullable()
    .meta({ description: 'The arm of its split test that is shown; null without a test.' }),
  arms: z.array(z.string()).meta({ description: 'All arms of that test.' }),
  sender: senderSchema.meta({ description: 'Who it would be from.' }),
});

export const preflightRequest = z.strictObject({ template: templateKey, funnel, kind });
export const preflightResponse = z.object({
  template: z.string(),
  kind: z.string().nullable(),
  ok: z.boolean().meta({ description: 'False when something must be put right before the first mail.' }),
  findings: z.array(
    z.object({
      check: z.string(),
      level: z.enum(['ok', 'warn', 'fail', 'unknown']),
      message: z.string(),
      file: z.string().optional(),
      line: z.number().int().optional(),
      mail: z
        .object({
          subject: z.string(),
          field: z.enum(['subject', 'preview', 'body']).optional(),
          line: z.number().int().optional(),
          edit: z.string().optional(),
          ownSubject: z.literal(true).optional(),
        })
        .optional()
        .meta({ description: 'In place of `file` and `line`, for a mail that was written in the web app.' }),
      subscribers: z
        .array(z.string())
        .optional()
        .meta({ description: 'Ids of up to three subscribers it is about.' }),
    }),
  ),
});
