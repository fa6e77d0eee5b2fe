import { z } from 'zod';
import { HOLDOUT } from '../experiments/assign.js';
import { parsePercentBps } from '../values/money.js';
import {
  duration,
  key,
  line,
  localTime,
  money,
  percent as percentText,
  strict,
  template,
} from './schema-parts.js';

/** Of a test, as people write it: how people are drawn and when it is over. */
export interface FunnelTest {
  judge: 'clicks' | 'revenue';
  arms: { key: string; weight?: number | undefined }[];
  within?: string | undefined;
  horizon?: string | undefined;
  alpha?: number | undefined;
  holdout?: string | undefined;
  cap?: string | undefined;
  optimise?: 'thompson' | undefined;
  explore?: string | undefined;
  guardRails?: { unsubscribes?: string | undefined; complaints?: string | undefined } | undefined;
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

const percent = (least: number, most: number) =>
  percentText.refine((text) => {
    const bps = readable(text);
    return bps === null || (bps >= least * 100 && bps <= most * 100);
  }, `use a percentage from ${least}% to ${most}%`);

function readable(text: string): number | null {
  try {
    return parsePercentBps(text);
  } catch {
    return null;
  }
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

const ALPHA = 'use a number from 0.001 to 0.2: the chance of a false winner';

const judge = z.enum(['clicks', 'revenue'], { error: 'use clicks or revenue' });
const armsOf = <A extends z.ZodType>(one: A) =>
  z.array(one).min(2, 'name at least two arms; the first is the control').max(10, 'name at most ten arms');

const plan = {
  within: duration.optional(),
  horizon: duration.optional(),
  alpha: z.number({ error: ALPHA }).min(0.001, ALPHA).max(0.2, ALPHA).optional(),
  holdout: percent(1, 50).optional(),
  cap: money.optional(),
  optimise: z
    .literal('thompson', { error: 'use thompson, or leave it out to keep the shares as they are' })
    .optional(),
  explore: percent(1, 100).optional(),
  guardRails: strict({
    unsubscribes: percent(0.01, 50).optional(),
    complaints: percent(0.01, 50).optional(),
  }).optional(),
};

export const split = strict({ judge, arms: armsOf(arm), ...plan }) as z.ZodType<FunnelSplit>;

/** `step`: any step of a sequence. */
export const paths = <S>(step: z.ZodType<S>) =>
  strict({ judge, arms: armsOf(strict({ ...drawn, steps: z.array(step) })), ...plan }) as z.ZodType<
    FunnelPaths<S>
  >;
