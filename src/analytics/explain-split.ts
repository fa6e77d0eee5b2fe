import { HOLDOUT } from '../segments/held-out.js';
import { armKey, armOfWords, type Split } from '../broadcasts/split.js';
import { decisionText, type SplitDecision } from '../broadcasts/split-results.js';
import { verdictText } from '../experiments/results.js';
import type { Experiment } from '../experiments/experiment.js';
import { quoted, rule, type Rule } from './explanation.js';

/** A split test that bears on a step, and the person's place in it. */
export interface SplitFacts extends Pick<Experiment, 'terms' | 'verdict' | 'decidedAt'> {
  test: string;
  /** The arm on whose path the step lies; null where the test is its own. */
  pathOfStep: string | null;
  /** Null: they came when the test was over, and were not drawn. */
  own: {
    arm: string;
    carried: boolean;
    /** In place of their own, which had been stopped for harm when they came once more. */
    isInstead: boolean;
    at: Date;
    shares: number[];
  } | null;
}

/** Which arm the step is of, and why the person has it. */
function splitRule({ test, terms, verdict, decidedAt, own }: SplitFacts): Rule | null {
  const name = `the split test ${quoted(test)}`;
  if (own === null) {
    if (verdict === null) return null;
    const text = `The step is that of arm ${quoted(verdict.arm)} of ${name}, which was over: ${verdictText(verdict, terms)}`;
    return rule('SPLIT_TEST_OVER', 'info', text, decidedAt);
  }
  const { arm, carried, isInstead, at, shares } = own;
  const has =
    arm === HOLDOUT ? `The person is held out of ${name}` : `The person has arm ${quoted(arm)} of ${name}`;
  if (isInstead) {
    const text = `${has} this time: the one they had before was stopped because it made people leave or complain.`;
    return rule('SPLIT_TEST_ARM_INSTEAD', 'info', text, at);
  }
  if (carried)
    return rule('SPLIT_TEST_ARM_KEPT', 'info', `${has}, which they had before the test was changed.`, at);
  if (arm === HOLDOUT) {
    const text = `${has}: a hash of the test and their number draws it, for ${terms.holdoutBps / 100} % of the people.`;
    return rule('SPLIT_TEST_HELD_OUT', 'info', text, at);
  }
  const share = shares[terms.arms.findIndex(({ key }) => key === arm)] ?? 0;
  const held = terms.holdoutBps === 0 ? '' : ` ${terms.holdoutBps / 100} % are held out and get nothing.`;
  const text = `${has}: a hash of the test and their number draws it, for ${(share * 100).toFixed(1)} % of the people at that time.${held}`;
  return rule('SPLIT_TEST_ARM', 'info', text, at);
}

export function splitRules(splits: readonly SplitFacts[]): Rule[] {
  return splits.map(splitRule).filter((one) => one !== null);
}

/** Of a mail that went: the paths it was on though the person was drawn for another. */
export function otherPathRules(splits: readonly SplitFacts[]): Rule[] {
  return splits.flatMap(({ test, pathOfStep, own }) => {
    if (own === null || pathOfStep === null || pathOfStep === own.arm) return [];
    const text = `The mail was on the path of arm ${quoted(pathOfStep)} of the split test ${quoted(test)}, which did not draw it: the person was taken to this step by a move to another version, or put there.`;
    return [rule('SPLIT_TEST_OTHER_PATH', 'info', text)];
  });
}

/** The split test of a mail's broadcast. */
export interface BroadcastSplitFacts {
  split: Split;
  /** Null while the test runs. */
  decision: SplitDecision | null;
  /** The place of the arm that was tried on the person, marked as in the ledger; null: they are not in the test. */
  arm: number | null;
  /** They are held out of the test. */
  isHeldOut: boolean;
}

/** Which arm the mail is of, and why; for the rest, what the test came to. */
export function broadcastSplitRule({ split, decision, arm, isHeldOut }: BroadcastSplitFacts): Rule {
  const test = 'the split test of the broadcast';
  if (isHeldOut) {
    const text = `The person is held out of ${test}: a hash of the broadcast and their number draws it, for ${split.holdout ?? 'a part'} of the audience. They get neither an arm nor the winner.`;
    return rule('SPLIT_TEST_HELD_OUT', 'info', text);
  }
  if (arm !== null && arm < 0) {
    const text = `The person has the mail of arm ${armKey(armOfWords(arm)).toUpperCase()} of ${test} and counts for none: the arm that was drawn for them broke a guard rail before their mail went.`;
    return rule('SPLIT_TEST_ARM_STOPPED', 'info', text);
  }
  if (arm !== null) {
    const share = `${split.testPercent} % of the audience have ${split.arms.length} arms in equal parts`;
    const text = `The person has arm ${armKey(arm).toUpperCase()} of ${test}: a hash of the broadcast and their number draws it; ${share}.`;
    return rule('SPLIT_TEST_ARM', 'info', text);
  }
  const rest = `The person is of the rest, on whom ${test} was not tried.`;
  if (decision === null) return rule('SPLIT_TEST_REST', 'info', rest);
  return rule('SPLIT_TEST_REST', 'info', `${rest} ${decisionText(decision)}`, new Date(decision.at));
}
