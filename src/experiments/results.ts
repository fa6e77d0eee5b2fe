import { HOLDOUT } from '../segments/held-out.js';
import { decide, logThreshold, type Judgement, type Verdict } from './decide.js';
import { liftInterval } from './evidence.js';
import type { ExperimentTerms } from './experiment-terms.js';
import { plannedShares, type Cohort, type Harm, type Shares } from './test-plan.js';
import { nextShares } from './thompson.js';

/** People of one arm and period whose time is over. `value`: clicks, or minor units up to the cap. */
export interface OutcomeRow {
  arm: string;
  period: number;
  people: number;
  /** As a `Cohort` has it. */
  reached: number;
  /** People by what they brought, without those who brought nothing. */
  outcomes: { value: number; count: number }[];
}

/** All people of one arm up to now. */
export interface ArmRow {
  arm: string;
  people: number;
  reached: number;
  unsubscribes: number;
  complaints: number;
  /** As a `Harm` has it. */
  ofOne?: number;
}

export interface Evidence {
  terms: ExperimentTerms;
  /** By their number. */
  periods: readonly Shares[];
  outcomes: readonly OutcomeRow[];
  people: readonly ArmRow[];
  isOver: boolean;
  /**
   * Places of arms that were stopped, and whose waiting people have another's mail and count for none: what is left of the
   * arm is fewer than were drawn, and no part of the comparison.
   */
  stopped?: ReadonlySet<number>;
}

/** What came of one arm, or of those who were held out. */
export interface GroupResult {
  /** All so far, and those of them whose mail left. */
  people: number;
  reached: number;
  /** Those whose time to act is over: the numbers below are theirs. */
  counted: number;
  /** People who clicked or bought. */
  acted: number;
  /** Clicks or minor units, each person's money up to the cap. */
  total: number;
  perPerson: number;
  /** Up to now, of all people. */
  unsubscribes: number;
  complaints: number;
}

export interface ArmResult extends GroupResult {
  key: string;
  isControl: boolean;
  /** By which people are drawn now. */
  share: number;
  /** It broke a guard rail. */
  isStopped: boolean;
  /** How many times as much as the control it brings; null for the control. */
  lift: { low: number; high: number | null } | null;
  /** Against the best of the other arms: evidence that this one is better, and the p-value that holds at every look. */
  eValue: number;
  pValue: number;
}

export interface Results {
  arms: ArmResult[];
  holdout: GroupResult | null;
  sampleRatio: { mismatch: boolean; chiSquareP: number; anytimeP: number };
  /** Evidence that makes a winner. */
  eValueNeeded: number;
}

/** What to do now. */
export function judge(evidence: Evidence): Judgement {
  const { terms, isOver, stopped = new Set() } = evidence;
  return decide(terms, { cohorts: cohortsOf(evidence), harms: harmsOf(evidence), isOver, stopped });
}

/**
 * The shares from here on. Outcomes of arms that do not hold the people they should are no reason to move any: then the
 * shares stay, and only what breaks a guard rail gets nobody more.
 */
export function sharesAfter(
  evidence: Evidence,
  { ratio, breaches }: Pick<Judgement, 'ratio' | 'breaches'>,
): Shares {
  const { terms, periods } = evidence;
  const stopped = new Set(breaches.map(({ arm }) => arm));
  if (!ratio.mismatch) return nextShares(terms, cohortsOf(evidence), stopped);
  const kept = withoutStopped(stopped, periods.at(-1) ?? plannedShares(terms));
  return kept.every((share) => share === 0) ? nextShares({ ...terms, optimise: null }, [], stopped) : kept;
}

export function resultsOf(evidence: Evidence): Results {
  const { terms, periods, stopped = new Set() } = evidence;
  const cohorts = cohortsOf(evidence);
  const { ratio, breaches, logEvidence } = judge(evidence);
  const level = terms.alpha / terms.arms.length;
  const arms = terms.arms.map(({ key }, arm): ArmResult => {
    const eValue = Math.exp(Math.min(logEvidence[arm] ?? 0, MOST_LOG));
    return {
      key,
      isControl: arm === 0,
      share: withoutStopped(stopped, periods.at(-1) ?? [])[arm] ?? 0,
      isStopped: stopped.has(arm) || breaches.some((breach) => breach.arm === arm),
      ...groupOf(evidence, key),
      lift: arm === 0 ? null : liftInterval(cohorts, [arm, 0], level),
      eValue,
      pValue: Math.min(1, terms.arms.length / eValue),
    };
  });
  const holdout = terms.holdoutBps > 0 ? groupOf(evidence, HOLDOUT) : null;
  return { arms, holdout, sampleRatio: ratio, eValueNeeded: Math.exp(logThreshold(terms)) };
}

/** Beyond it the number says nothing more. */
const MOST_LOG = Math.log(1e12);

/** In words, for the owner. */
export function verdictText(verdict: Verdict, { judge: by, arms }: ExperimentTerms): string {
  if (verdict.kind === 'running') return 'The test is running.';
  const gets = `Everybody who comes from here on gets “${verdict.arm}”.`;
  if (verdict.kind === 'winner') {
    const than = arms.length === 2 ? 'the other arm' : 'each other arm';
    return `“${verdict.arm}” brings more ${by === 'clicks' ? 'clicks' : 'money'} per person than ${than}. ${gets}`;
  }
  if (verdict.kind === 'stopped')
    return `The owner has stopped the test ${verdict.isChosen ? 'and chosen this arm' : 'without a winner'}. ${gets}`;
  const why = {
    horizon: 'The time of the test is up, and no arm is shown to be better.',
    sample_ratio:
      'The time of the test is up, and the arms do not hold the numbers of people they should, so its result cannot be believed.',
    guard_rails: 'Fewer than two arms are left that keep to the guard rails.',
  }[verdict.because];
  return `${why} ${gets}`;
}

export function cohortsOf({ terms, periods, outcomes, stopped = new Set() }: Evidence): Cohort[] {
  return outcomes.flatMap(({ arm: key, period, people, reached, outcomes: brought }) => {
    const arm = terms.arms.findIndex((one) => one.key === key);
    if (arm < 0 || stopped.has(arm)) return [];
    const unit = terms.cap?.amountMinor ?? 1;
    return [
      {
        arm,
        period,
        shares: withoutStopped(stopped, periods[period] ?? []),
        people,
        reached,
        outcomes: brought.map(({ value, count }) => ({ value: Math.min(1, value / unit), count })),
      },
    ];
  });
}

/** By which those were drawn whom no stopped arm got. */
function withoutStopped(stopped: ReadonlySet<number>, shares: Shares): Shares {
  if (stopped.size === 0) return shares;
  const kept = shares.map((share, arm) => (stopped.has(arm) ? 0 : share));
  const left = kept.reduce((sum, share) => sum + share, 0);
  return left === 0 ? kept : kept.map((share) => share / left);
}

export function harmsOf({ terms, people }: Pick<Evidence, 'terms' | 'people'>): Harm[] {
  return people.flatMap((row) => {
    const arm = terms.arms.findIndex(({ key }) => key === row.arm);
    return arm < 0 ? [] : [{ ...row, arm }];
  });
}

function groupOf({ outcomes, people }: Evidence, key: string): GroupResult {
  const now = people.find(({ arm }) => arm === key);
  const rows = outcomes.filter(({ arm }) => arm === key);
  const counted = rows.reduce((sum, row) => sum + row.people, 0);
  const brought = rows.flatMap((row) => row.outcomes);
  const total = brought.reduce((sum, { value, count }) => sum + value * count, 0);
  return {
    people: now?.people ?? 0,
    reached: now?.reached ?? 0,
    counted,
    acted: brought.reduce((sum, { count }) => sum + count, 0),
    total,
    perPerson: counted === 0 ? 0 : total / counted,
    unsubscribes: now?.unsubscribes ?? 0,
    complaints: now?.complaints ?? 0,
  };
}
