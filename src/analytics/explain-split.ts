import { verdictText } from '../experiments/results.js';
import type { Experiment } from '../experiments/experiment.js';
import { quoted, rule, type Rule } from './explanation.js';

/** The split test at the step of a mail, and the person's place in it. */
export interface SplitFacts extends Pick<Experiment, 'terms' | 'verdict' | 'decidedAt'> {
  test: string;
  /** Null: they came when the test was over, and were not drawn. */
  own: { arm: string; carried: boolean; at: Date; shares: number[] } | null;
}

/** Which arm the mail is of, and why the person has it. */
export function splitRule({ test, terms, verdict, decidedAt, own }: SplitFacts): Rule | null {
  const name = `the split test ${quoted(test)}`;
  if (own === null) {
    if (verdict === null) return null;
    const text = `The mail is that of arm ${quoted(verdict.arm)} of ${name}, which was over: ${verdictText(verdict, terms)}`;
    return rule('SPLIT_TEST_OVER', 'info', text, decidedAt);
  }
  const { arm, carried, at, shares } = own;
  const has = `The person has arm ${quoted(arm)} of ${name}`;
  if (carried)
    return rule('SPLIT_TEST_ARM_KEPT', 'info', `${has}, which they had before the test was changed.`, at);
  const share = shares[terms.arms.findIndex(({ key }) => key === arm)] ?? 0;
  const held = terms.holdoutBps === 0 ? '' : ` ${terms.holdoutBps / 100} % are held out and get nothing.`;
  const text = `${has}: a hash of the test and their number draws it, for ${(share * 100).toFixed(1)} % of the people at that time.${held}`;
  return rule('SPLIT_TEST_ARM', 'info', text, at);
}
