import { z } from 'zod';
import { senderSchema } from '../delivery/sender.schemas.js';
import { parseDuration } from '../values/duration.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../values/header-text.js';
import { parseMoney, parsePercentBps } from '../values/money.js';

/**
 * A funnel as people write it: durations, money and percentages stay text here ("2 days", "49.00 EUR", "30%"), so that
 * an export reads like the file that was applied. Every object is strict: an unknown option is refused, never ignored.
 */

/** Wraps a parser that throws into a schema that reports its message. */
const readBy = (parse: (text: string) => unknown) =>
  z.string().superRefine((text, context) => {
    try {
      parse(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'not readable' });
    }
  });

const text = (max: number) =>
  z.string().trim().min(1, 'must not be empty').max(max, `at most ${max} characters`);
/** What may stand in a subject or a header. */
const line = (max: number) => text(max).regex(HEADER_TEXT, HEADER_TEXT_ADVICE);
const key = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use lower-case letters, digits and single hyphens, such as launch-kit')
  .max(60);
const file = z
  .string()
  .regex(
    /^(?!.*\.\.)[\w][\w./ -]*$/,
    'use a path below the folder of the funnel file, such as files/guide.pdf',
  );
const template = z
  .string()
  .regex(
    /^[a-z0-9-]+(\/[a-z0-9-]+)+$/,
    'use the path below templates/ without its ending, such as emails/welcome',
  );
const localTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'use a time of day from 00:00 to 23:59');
const duration = readBy(parseDuration);
const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const form = z.strictObject({
  slug: key,
  template: template.default('pages/squeeze'),
  headline: line(200),
  subheadline: text(400).optional(),
  bullets: z.array(text(300)).max(12).default([]),
  button: text(60).default('Send it to me'),
  optIn: z.enum(['double', 'single'], { error: 'use double or single' }).default('double'),
  consent: text(500),
  leadMagnet: file.optional(),
});

const emailStep = z.strictObject({
  key,
  email: template,
  offer: key.optional(),
  delay: duration.optional(),
  at: localTime.optional(),
  deadline: duration.optional(),
});

const branchStep = z.strictObject({
  key,
  if: z.strictObject({ clicked: key, within: duration }),
  get then() {
    return z.array(step).default([]);
  },
  get else() {
    return z.array(step).default([]);
  },
});

const step: z.ZodType<FunnelStep> = z.lazy(() => z.union([emailStep, branchStep])) as z.ZodType<FunnelStep>;

export interface FunnelEmailStep {
  key: string;
  email: string;
  offer?: string | undefined;
  delay?: string | undefined;
  at?: string | undefined;
  deadline?: string | undefined;
}
export interface FunnelBranchStep {
  key: string;
  if: { clicked: string; within: string };
  then: FunnelStep[];
  else: FunnelStep[];
}
export type FunnelStep = FunnelEmailStep | FunnelBranchStep;

const sequence = z.strictObject({
  window: z
    .strictObject({
      days: z.array(z.enum(weekdays, { error: `use ${weekdays.join(', ')}` })).min(1),
      from: localTime,
      to: localTime,
      timezone: z.literal('subscriber', { error: 'use subscriber' }).default('subscriber'),
    })
    .optional(),
  steps: z.array(step).min(1, 'a sequence needs at least one step'),
  exitOn: z.array(z.strictObject({ purchased: key })).default([]),
});

const product = z.strictObject({
  key,
  name: line(120),
  description: z.string().trim().max(1000, 'at most 1000 characters').default(''),
  price: readBy(parseMoney),
  delivers: z.array(file).default([]),
  licence: z.boolean().default(false),
});

const offer = z.strictObject({
  key,
  product: key,
  headline: line(200).optional(),
  bullets: z.array(text(300)).max(12).default([]),
  discount: readBy(parsePercentBps).optional(),
  bump: key.optional(),
});

export const funnelSchema = z.strictObject({
  funnel: key,
  title: line(120),
  sender: senderSchema,
  form,
  sequence,
  products: z.array(product).default([]),
  offers: z.array(offer).default([]),
});

/** Checked by {@link funnelSchema}; what stands between its objects is checked by `funnelProblems`. */
export type FunnelDefinition = z.infer<typeof funnelSchema>;

export function isBranch(step: FunnelStep): step is FunnelBranchStep {
  return 'if' in step;
}

/** Every step with the path it has in the file, in the order of the file, branches included. */
export function allSteps(
  steps: readonly FunnelStep[],
  path: readonly PropertyKey[] = ['sequence', 'steps'],
): { step: FunnelStep; path: readonly PropertyKey[] }[] {
  return steps.flatMap((step, index) => {
    const here = [...path, index];
    if (!isBranch(step)) return [{ step, path: here }];
    return [
      { step, path: here },
      ...allSteps(step.then, [...here, 'then']),
      ...allSteps(step.else, [...here, 'else']),
    ];
  });
}
