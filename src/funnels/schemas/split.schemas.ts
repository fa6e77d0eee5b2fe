import { z } from 'zod';
import { HOLDOUT } from '../../segments/held-out.js';
import { percentBetween, testOptions, type TestOptions } from '../../experiments/test-options.js';
import { duration, key, line, money, template } from './schema-parts.js';
import { localTime, strict } from '../../values/option-parts.js';

/** Of a test, as people write it: how people are drawn and when it is over. */
export interface FunnelTest extends TestOptions {
  judge: 'clicks' | 'revenue';
  arms: { key: string; weight?: number | undefined }[];
  within?: string | undefined;
  horizon?: string | undefined;
  cap?: string | undefined;
  optimise?: 'thompson' | undefined;
  explore?: string | undefined;
}

/** `split` of an email step: what each arm has of its own takes the place of the step's. */
export interface FunnelSplit extends FunnelTest {
  arms: FunnelArm[];
}

export interface FunnelArm {
  key: string;
  weight?: number | undefined;
  subject?: string | undefined;
  email?: string | undefined;
  offer?: string | undefined;
  deadline?: string | undefined;
  delay?: string | undefined;
  at?: string | undefined;
}

/** `split` as a step of its own: each arm has its steps. */
export interface FunnelPaths<Step> extends FunnelTest {
  arms: { key: string; weight?: number | undefined; steps: Step[] }[];
}

const WEIGHT = 'use a whole number from 1 to 1000; an arm gets its weight’s part of the people';

const drawn = {
  key: key.refine(
    (name) => name !== HOLDOUT,
    `${HOLDOUT} is what those who get nothing are called; use another name`,
  ),
  weight: z.int({ error: WEIGHT }).min(1, WEIGHT).max(1000, WEIGHT).optional(),
};

const arm = strict({
  ...drawn,
  subject: line(300).optional(),
  email: template.optional(),
  offer: key.optional(),
  deadline: duration.optional(),
  delay: duration.optional(),
  at: localTime.optional(),
});

const judge = z.enum(['clicks', 'revenue'], { error: 'use clicks or revenue' });
const armsOf = <A extends z.ZodType>(one: A) =>
  z.array(one).min(2, 'name at least two arms; the first is the control').max(10, 'name at most ten arms');

const { alpha, holdout, guardRails } = testOptions;

const plan = {
  ...{ within: duration.optional(), horizon: duration.optional(), alpha, holdout },
  cap: money.optional(),
  optimise: z
    .literal('thompson', { error: 'use thompson, or leave it out to keep the shares as they are' })
    .optional(),
  explore: percentBetween(1, 100).optional(),
  guardRails,
};

export const split = strict({ judge, arms: armsOf(arm), ...plan }) as z.ZodType<FunnelSplit>;

/** `step`: any step of a sequence. */
export const paths = <S>(step: z.ZodType<S>) =>
  strict({ judge, arms: armsOf(strict({ ...drawn, steps: z.array(step) })), ...plan }) as z.ZodType<
    FunnelPaths<S>
  >;
