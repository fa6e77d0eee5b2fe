import { z } from 'zod';
import { durationMs, parseDuration } from '../../values/duration.js';
import type { MoveMode } from './placement.js';

const stepKey = z.string().min(1).max(60);
const within = z.string().transform((text, context) => {
  try {
    return parseDuration(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'not readable' });
    return z.NEVER;
  }
});

/** What becomes of the people who are in a sequence that has a new version, as its owner writes it. */
export const moveChoiceShape = {
  mode: z
    .enum(['forward-only', 'catch-up', 're-map'], { error: 'use forward-only, catch-up or re-map' })
    .meta({
      description:
        '`forward-only`: behind the furthest step they have had. `catch-up`: first the steps that were added at places they passed `within` this time, also for who has finished since, unless something that ends the sequence holds for them. `re-map`: from each step to the one that `steps` names.',
    }),
  within: within.optional().meta({ description: 'With catch-up, such as "7 days".' }),
  steps: z
    .record(stepKey, stepKey)
    .optional()
    .meta({ description: 'With re-map: step of now, step to go to.' }),
};

const count = {
  people: z.number().int().meta({ description: 'At most: they may get it.' }),
  sure: z.number().int().meta({
    description: 'Of these, who get it whatever split tests and branches say, unless they leave before.',
  }),
  expected: z.number().optional().meta({
    description:
      'By the weights of split tests, to a tenth: where not all are sure and nothing but such tests decides about the others.',
  }),
};
const counted = z.array(z.object({ step: z.string(), ...count }));

/** What a move does, or would do, to how many. */
export const movePreviewShape = {
  people: z.number().int(),
  moves: z.array(
    z.object({ from: z.string().nullable(), to: z.string().nullable(), people: z.number().int() }),
  ),
  stays: z.array(z.object({ reason: z.string(), people: z.number().int() })),
  gains: counted,
  losses: counted,
  gainers: z.object(count).meta({ description: 'Each person once, however many mails they gain.' }),
  owners: z.array(z.object({ step: z.string(), product: z.string(), people: z.number().int() })).meta({
    description: 'Who owns already what a new step offers, and is passed over where they come to it.',
  }),
  losers: z.object(count).meta({ description: 'Each person once, however many mails they lose.' }),
};

/** Each mode takes its own option and no other. */
export const withChoiceRules = <T extends { mode: string; within?: unknown; steps?: unknown }, I>(
  schema: z.ZodType<T, I>,
): z.ZodType<T, I> =>
  schema
    .refine(({ mode, within: span }) => (mode === 'catch-up') === (span !== undefined), {
      path: ['within'],
      error: 'belongs to catch-up, which needs it',
    })
    .refine(({ mode, steps }) => (mode === 're-map') === (steps !== undefined), {
      path: ['steps'],
      error: 'belongs to re-map, which needs it',
    });

export const moveChoice = withChoiceRules(z.strictObject(moveChoiceShape));
export type MoveChoice = z.output<typeof moveChoice>;

/** The choice at a moment: catching up counts back from it. */
export function moveModeOf({ mode, within: span, steps }: MoveChoice, now: Date): MoveMode {
  if (span !== undefined) return { kind: 'catch-up', since: new Date(now.getTime() - durationMs(span)) };
  return mode === 're-map' ? { kind: 're-map', steps: steps ?? {} } : { kind: 'forward-only' };
}
