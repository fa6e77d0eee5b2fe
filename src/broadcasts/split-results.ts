import type { Verdict } from '../experiments/decide.js';
import { type Complainer, complaintsOfOne } from '../experiments/complainers.js';
import { breaches, type Breach } from '../experiments/guard-rails.js';
import { harmsOf, judge, resultsOf, type Evidence, type Results } from '../experiments/results.js';
import { plannedShares } from '../experiments/test-plan.js';
import { armKey, isTimed, termsOf, type Split } from './split.js';

/** What became of the test. */
export interface SplitDecision {
  verdict: 'winner' | 'no_winner';
  /** Of an arm that did not win: why none did. */
  because: Extract<Verdict, { kind: 'no_winner' }>['because'] | null;
  /** Place of the arm that goes to the rest. */
  arm: number;
  at: string;
  /** What the rest gets since the owner has changed its words in a pause; left out: those of the arm. */
  words?: { template: string; subject: string | null };
}

/** How one arm of the test fares. */
export interface ArmFigures {
  arm: number;
  /** Readers who are compared: those whose mail was taken; where arms differ in their hour, all who were drawn. */
  people: number;
  /** Those of them whom their mail reached, or who have left before it could. */
  reached: number;
  /** Mails that were taken by a relay. */
  sent: number;
  /** Readers with a click that a person made. */
  clickers: number;
  /** Orders of its readers since their mail, in the currency of the cap. */
  revenueMinor: number;
  /** The same per reader who bought, each up to the cap. */
  capped: { amountMinor: number; readers: number }[];
  /** Readers who have left the list since their mail. */
  unsubscribes: number;
  complaints: number;
  /** Who complained. */
  complainers?: Omit<Complainer, 'arm'>[];
}

/** An arm that broke a guard rail: nobody gets its mail from then on. */
export interface StoppedArm extends Breach {
  at: string;
}

/** Harm shows slowly, and each look counts every reader of the test. */
const LOOK_EVERY_MS = 10 * 60_000;

/** When the guard rails are to be looked at next while mails of the test go; null where there are none. */
export function lookAt({
  split,
  lookedAt,
  startedAt,
}: {
  split: Split;
  lookedAt: Date | null;
  startedAt: Date | null;
}): Date | null {
  const { unsubscribes, complaints } = termsOf(split).guardRails;
  const from = lookedAt ?? startedAt;
  if ((unsubscribes ?? complaints) === null || from === null) return null;
  return new Date(from.getTime() + LOOK_EVERY_MS);
}

/** How far a test has come. */
interface Standing {
  split: Split;
  figures: readonly ArmFigures[];
  stopped: readonly Pick<StoppedArm, 'arm'>[];
}

/** The figures as the statistics want them. */
export function evidenceOf({ split, figures, stopped }: Standing, isOver: boolean): Evidence {
  const terms = termsOf(split);
  return {
    ...{ terms, periods: [plannedShares(terms)], isOver },
    outcomes: figures.map(({ arm, people, reached, clickers, capped }) => {
      const brought =
        split.judge === 'clicks'
          ? [{ value: 1, count: clickers }]
          : capped.map(({ amountMinor, readers }) => ({ value: amountMinor, count: readers }));
      const outcomes = brought.filter(({ count }) => count > 0);
      return { arm: armKey(arm), period: 0, people, reached, outcomes };
    }),
    people: figures.map(({ arm, sent, unsubscribes, complaints, complainers = [] }) => ({
      ...{ arm: armKey(arm), people: sent, reached: sent, unsubscribes, complaints },
      ofOne: complaintsOfOne(complainers, sent),
    })),
    stopped: new Set(stopped.map(({ arm }) => arm)),
  };
}

/** Said in place of a comparison. */
const NOT_YET =
  'The arms go at times of their own, so they are compared when the test is decided: until then some have had more time than others.';

/** How the arms compare so far, at any look; or why that would say nothing. */
export function comparisonOf(
  standing: Standing,
  decision: SplitDecision | null,
): { results: Results | null; notCompared: string | null } {
  if (isTimed(standing.split) && decision === null) return { results: null, notCompared: NOT_YET };
  return { results: resultsOf(evidenceOf(standing, false)), notCompared: null };
}

/** The arms that are to be stopped now, and were not before. */
export function newBreaches(standing: Standing): Breach[] {
  const evidence = evidenceOf(standing, false);
  const found = breaches(evidence.terms, harmsOf(evidence));
  return found.filter(({ arm }) => evidence.stopped?.has(arm) !== true);
}

/** What the test comes to when its time is up, by what its arms have brought until `now`. */
export function decisionOf(standing: Standing, now: Date): SplitDecision {
  const evidence = evidenceOf(standing, true);
  const { verdict } = judge(evidence);
  const arm =
    verdict.kind === 'running' ? 0 : evidence.terms.arms.findIndex(({ key }) => key === verdict.arm);
  return {
    verdict: verdict.kind === 'winner' ? 'winner' : 'no_winner',
    because: verdict.kind === 'no_winner' ? verdict.because : null,
    arm: Math.max(0, arm),
    at: now.toISOString(),
  };
}

const WHY_NONE: Readonly<Record<NonNullable<SplitDecision['because']>, string>> = {
  horizon: 'no arm was shown to be better',
  sample_ratio: 'the arms did not reach as many people as planned, so that no result can be believed',
  guard_rails: 'fewer than two arms kept to the guard rails',
};

/** For people: what the test came to. */
export function decisionText({ verdict, because, arm }: SplitDecision): string {
  const key = armKey(arm).toUpperCase();
  if (verdict === 'winner') return `Arm ${key} won and goes to the rest.`;
  const first = arm === 0 ? ', the first' : ', the first that was not stopped';
  return `No winner: ${WHY_NONE[because ?? 'horizon']}. The rest gets arm ${key}${first}.`;
}
