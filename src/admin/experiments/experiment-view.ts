import type { Experiment } from '../../experiments/experiment.js';
import { verdictText, type ArmResult, type GroupResult, type Results } from '../../experiments/results.js';
import { moneyToText } from '../../values/money.js';

interface ExperimentView {
  id: string;
  title: string;
  isDecided: boolean;
  /** The decision, or how it goes. */
  text: string;
  /** Until when it may run; null once it is decided. */
  endsAt: Date | null;
  judge: string;
  /** Why no result can be believed; null when the arms hold the people they should. */
  warning: string | null;
  /** Keys of the arms, while the owner may stop the test; else none. */
  choices: string[];
  /** The arms, and last those who were held out. */
  groups: GroupView[];
}

interface GroupView {
  name: string;
  note: string;
  share: string;
  people: number;
  counted: number;
  acted: number;
  perPerson: string;
  lift: string;
  pValue: string;
  harm: string;
}

export function experimentView({ results, ...test }: Experiment & { results: Results }): ExperimentView {
  const { id, funnelKey, stepKey, terms, verdict, endsAt } = test;
  const winner = verdict?.arm;
  return {
    id,
    title: `${stepKey} of ${funnelKey}`,
    isDecided: verdict !== null,
    text: verdictText(verdict ?? { kind: 'running' }, terms),
    endsAt: verdict === null ? endsAt : null,
    choices: verdict === null ? terms.arms.map(({ key }) => key) : [],
    judge:
      terms.judge === 'revenue'
        ? 'money per person'
        : terms.paths
          ? 'people who click in a mail of their path'
          : 'people who click',
    warning: results.sampleRatio.mismatch
      ? 'The arms do not hold the numbers of people they should, so these numbers cannot be compared.'
      : null,
    groups: [
      ...results.arms.map((arm) => ({
        ...groupOf(arm, test),
        ...{ name: arm.key, note: noteOf(arm, winner), share: percent(arm.share) },
        lift: arm.isControl || arm.lift === null ? '' : liftText(arm.lift),
        pValue: pValueText(arm.pValue),
      })),
      ...(results.holdout === null ? [] : [{ ...groupOf(results.holdout, test), ...heldOut(test) }]),
    ],
  };
}

function heldOut({
  terms,
}: Pick<Experiment, 'terms'>): Pick<GroupView, 'name' | 'note' | 'share' | 'lift' | 'pValue'> {
  const note = terms.paths ? 'passes over the paths' : 'gets nothing here';
  return { name: 'held out', note, share: '', lift: '', pValue: '' };
}

function noteOf({ isControl, isStopped, key }: ArmResult, winner: string | undefined): string {
  const notes = [
    ...(key === winner ? ['everybody new gets it'] : []),
    ...(isControl ? ['control'] : []),
    ...(isStopped ? ['stopped by a guard rail'] : []),
  ];
  return notes.join(', ');
}

function groupOf(
  { people, counted, acted, perPerson, unsubscribes, complaints }: GroupResult,
  { terms: { cap } }: Pick<Experiment, 'terms'>,
): Pick<GroupView, 'people' | 'counted' | 'acted' | 'perPerson' | 'harm'> {
  const each =
    cap === null ? percent(perPerson) : moneyToText({ ...cap, amountMinor: Math.round(perPerson) });
  return {
    people,
    counted,
    acted,
    perPerson: counted === 0 ? '' : each,
    harm: `${unsubscribes} / ${complaints}`,
  };
}

export function pValueText(value: number): string {
  return value < 0.001 ? '< 0.001' : value.toFixed(3);
}

export function liftText({ low, high }: { low: number; high: number | null }): string {
  return `× ${low.toFixed(2)} to ${high === null ? 'any' : high.toFixed(2)}`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}
