import { z } from 'zod';
import { ATTRIBUTIONS } from '../../affiliates/touch.js';
import { MAX_SOURCE_CHARS } from '../../delivery/mails/mjml-includes.js';
import { senderSchema } from '../../delivery/mails/sender.schemas.js';
import { FULL_BPS, parsePercentBps } from '../../values/money.js';
import { canonicalTimeZone } from '../../values/zoned-time.js';
import { entryTrigger, trigger } from './condition.schemas.js';
import { ownFields } from './field.schemas.js';
import {
  duration,
  fieldName,
  file,
  key,
  line,
  money,
  quietHours,
  template,
  templatePath,
  span,
  term,
  text,
  weekdays,
} from './schema-parts.js';
import { localTime, percent, strict } from '../../values/option-parts.js';
import { step } from './step.schemas.js';

/**
 * A funnel as people write it: durations, money and percentages stay text here ("2 days", "49.00 EUR", "30%"), so that
 * an export reads like the file that was applied. Every object is strict: an unknown option is refused, never ignored.
 */

/** What the form asks for: a field by its key, or with a label of its own. */
const askedField = z.union([
  fieldName,
  strict({ field: fieldName, label: line(100).optional(), required: z.boolean().optional() }),
]);

export const formShape = strict({
  slug: key,
  template: template.default('pages/squeeze'),
  headline: line(200),
  subheadline: text(400).optional(),
  bullets: z.array(text(300)).max(12).default([]),
  button: text(60).default('Send it to me'),
  optIn: z.enum(['double', 'single'], { error: 'use double or single' }).default('double'),
  consent: text(500),
  leadMagnet: file.optional(),
  fields: z
    .array(askedField)
    .max(20, 'ask at most 20')
    .refine((all) => new Set(all.map(askedKey)).size === all.length, 'ask for each field once')
    .optional(),
});

const REENTRY = 'use never, always, per event, or after a number of days such as after 30 days, at most 9999';

const sequence = strict({
  window: strict({
    days: weekdays,
    from: localTime,
    to: localTime,
    timezone: z.literal('subscriber', { error: 'use subscriber' }).default('subscriber'),
  }).optional(),
  quietHours: quietHours.optional(),
  fallbackTimezone: z
    .string()
    .refine((name) => canonicalTimeZone(name) !== null, 'use an IANA time zone, such as Europe/Berlin')
    .optional(),
  priority: z
    .int({ error: 'use a whole number from 1, which goes first, to 9; 5 is usual' })
    .min(1, 'use a whole number from 1, which goes first, to 9')
    .max(9, 'use a whole number from 1, which goes first, to 9')
    .optional(),
  enterOn: z.array(entryTrigger).max(20).optional(),
  reentry: z
    .string()
    .regex(/^(never|always|per event|after [1-9]\d{0,3} days?)$/, REENTRY)
    .optional(),
  steps: z.array(step).min(1, 'a sequence needs at least one step'),
  exitOn: z.array(trigger).default([]),
});

export const productShape = strict({
  key,
  name: line(120),
  description: z.string().trim().max(1000, 'at most 1000 characters').default(''),
  price: money,
  delivers: z.array(file).default([]),
  licence: z.boolean().default(false),
  membership: strict({ lasts: term }).optional(),
});

export const offerShape = strict({
  key,
  product: key,
  headline: line(200).optional(),
  bullets: z.array(text(300)).max(12).default([]),
  discount: percent.optional(),
  bump: key.optional(),
  upsell: key.optional(),
  downsell: key.optional(),
});

/** In basis points; 0 for what is no percentage, which is said at its own place. */
const shareBps = (text: string): number => (percent.safeParse(text).success ? parsePercentBps(text) : 0);

const affiliatesShape = strict({
  commission: percent,
  secondTier: percent.default('0%'),
  hold: duration.default('30 days'),
  cookie: span.default('60 days'),
  attribution: z.enum(ATTRIBUTIONS, { error: 'use last or first' }).optional(),
}).refine(({ commission, secondTier }) => shareBps(commission) + shareBps(secondTier) <= FULL_BPS, {
  path: ['secondTier'],
  error: 'commission and secondTier are more than 100% together',
});

const templateText = z.union([
  z
    .string({ error: 'write the text of the template, or file: and where it lies' })
    .max(MAX_SOURCE_CHARS, `at most ${MAX_SOURCE_CHARS} characters`),
  strict({ file }),
]);

export const funnelSchema = strict({
  funnel: key,
  title: line(120),
  sender: senderSchema,
  fields: ownFields.optional(),
  form: formShape,
  sequence,
  products: z.array(productShape).default([]),
  offers: z.array(offerShape).default([]),
  affiliates: affiliatesShape.optional(),
  templates: z.record(templatePath, templateText).optional(),
});

/** Checked by {@link funnelSchema}; what stands between its objects is checked by `funnelProblems`. */
export type FunnelDefinition = z.infer<typeof funnelSchema>;

export function askedKey(asked: z.infer<typeof askedField>): string {
  return typeof asked === 'string' ? asked : asked.field;
}
