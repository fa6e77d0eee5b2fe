import { durationMs, parseDuration } from '../../values/duration.js';
import { parseMoney } from '../../values/money.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from './rules.js';
import { leastMails, mostMails } from '../publish/path-length.js';
import { barePath } from '../publish/sequence-definition.js';
import { dearestOrder, pathTestOf, withinMs } from '../publish/split-definition.js';
import type { FunnelSplit, FunnelTest } from '../schemas/split.schemas.js';
import {
  allSteps,
  armSteps,
  isMailStep,
  isSplitStep,
  type FunnelEmailStep,
  type FunnelSplitStep,
  type FunnelStep,
} from '../schemas/step.schemas.js';

/** What is wrong with the split test of a step, at its place below the step. */
export function splitProblems(step: FunnelStep, definition: FunnelDefinition): DefinitionProblem[] {
  return ownProblems(step, definition).map((problem) => ({ ...problem, path: ['split', ...problem.path] }));
}

function ownProblems(step: FunnelStep, definition: FunnelDefinition): DefinitionProblem[] {
  if (isSplitStep(step)) return pathProblems(step, definition);
  if (!isMailStep(step) || !hasSplit(step)) return [];
  return [
    ...armProblems(step, definition),
    ...judgeProblems(step.split, definition),
    ...planProblems(step.split, withinMs(definition, step)),
  ];
}

function hasSplit(step: FunnelEmailStep): step is FunnelEmailStep & { split: FunnelSplit } {
  return step.split !== undefined;
}

function pathProblems(step: FunnelSplitStep, definition: FunnelDefinition): DefinitionProblem[] {
  const { split } = step;
  const inside = split.arms.flatMap(({ steps }, index) =>
    allSteps(steps, ['arms', index, 'steps']).flatMap(({ step: one, path }) => placeProblems(one, path)),
  );
  // How long a path takes that waits for a date is not known.
  const within = pathTestOf(definition, step, (steps) => barePath(definition, steps)).terms.withinSeconds;
  return [
    ...sameArms(
      split.arms.map(({ key, steps }) => ({ key, content: contentOf(steps), hint: 'other steps' })),
    ),
    ...inside,
    ...judgeProblems(split, definition),
    ...(split.judge === 'clicks' ? clickProblems(step, definition) : []),
    ...(inside.length > 0 ? [] : planProblems(split, within * 1_000)),
  ];
}

/** The steps without their keys, which no two steps share. */
function contentOf(steps: readonly FunnelStep[]): string {
  return JSON.stringify(steps, (name, value: unknown) => (name === 'key' ? undefined : value));
}

/** Steps that have no place in an arm. */
function placeProblems(step: FunnelStep, path: readonly PropertyKey[]): DefinitionProblem[] {
  if ('goal' in step) {
    const message =
      'a goal in an arm would take people there who were not drawn for it; put it behind the split';
    return [{ rule: 'split-test', path: [...path, 'goal'], message }];
  }
  if (!('until' in step) || step.until === undefined) return [];
  const message =
    'people count so and so long after coming to the split, and how long a wait for a date takes is not known; use a delay here, or put the step before or behind the split';
  return [{ rule: 'split-test', path: [...path, 'until'], message }];
}

/** An arm that sends more mails is clicked by more people, which says nothing about what it is worth. */
function clickProblems({ split }: FunnelSplitStep, definition: FunnelDefinition): DefinitionProblem[] {
  const mails = split.arms.map(({ key, steps }) => {
    const path = barePath(definition, steps);
    return { key, least: leastMails(path), most: mostMails(path) };
  });
  const [first] = mails;
  const isFair =
    first !== undefined &&
    first.least > 0 &&
    mails.every(({ least, most }) => least === first.least && most === first.least);
  if (isFair) return [];
  const sent = mails.map(
    ({ key, least, most }) => `"${key}" sends ${least === most ? most : `${least} to ${most}`}`,
  );
  const message = `clicks can judge paths only where each sends everybody the same number of mails, or one wins by sending more: ${sent.join(', ')}; use revenue`;
  return [{ rule: 'split-test', path: ['judge'], message }];
}

/** Arms that have a key or everything else in common. */
function sameArms(arms: readonly { key: string; content: string; hint: string }[]): DefinitionProblem[] {
  const seen = new Map<string, string>();
  return arms.flatMap(({ key, content, hint }, index): DefinitionProblem[] => {
    const problems: DefinitionProblem[] = [];
    const path = ['arms', index];
    if ([...seen.values()].includes(key))
      problems.push({
        rule: 'split-test',
        path: [...path, 'key'],
        message: `a second arm has the key "${key}"; each key is used once`,
      });
    const same = seen.get(content);
    if (same === undefined) seen.set(content, key);
    else
      problems.push({
        rule: 'split-test',
        path,
        message: `"${key}" is the same as "${same}"; give it ${hint}`,
      });
    return problems;
  });
}

function armProblems(
  step: FunnelEmailStep & { split: FunnelSplit },
  { offers }: FunnelDefinition,
): DefinitionProblem[] {
  const arms = armSteps(step);
  const same = sameArms(
    arms.map(({ key, subject, step: { email, offer, deadline, delay, at } }) => ({
      key,
      content: JSON.stringify([subject ?? null, email, offer, deadline, delay, at]),
      hint: 'a subject, email, offer, deadline, delay or at of its own',
    })),
  );
  const others = arms.flatMap(({ step: { offer }, own }, index): DefinitionProblem[] => {
    const problems: DefinitionProblem[] = [];
    const path = ['arms', index];
    if (own.offer !== undefined && !offers.some((one) => one.key === own.offer)) {
      const there = offers.length === 0 ? '' : `; there are: ${offers.map((one) => one.key).join(', ')}`;
      problems.push({
        rule: 'unknown-offer',
        path: [...path, 'offer'],
        message: `there is no offer "${own.offer}"${there}`,
      });
    }
    if (own.deadline !== undefined && offer === undefined)
      problems.push({
        rule: 'deadline-without-offer',
        path: [...path, 'deadline'],
        message: 'a deadline belongs to an arm or a step with an offer',
      });
    for (const name of ['delay', 'at'] as const) {
      if (own[name] === undefined || step.until === undefined) continue;
      problems.push({
        rule: 'conflicting-times',
        path: [...path, name],
        message: 'until says when the step runs; leave it out of the arms',
      });
    }
    return problems;
  });
  return [...same, ...others];
}

function judgeProblems(split: FunnelTest, definition: FunnelDefinition): DefinitionProblem[] {
  if (split.judge === 'clicks') {
    if (split.cap === undefined) return [];
    return [
      { rule: 'split-test', path: ['cap'], message: 'a cap belongs to a test that is judged by revenue' },
    ];
  }
  const most = dearestOrder(definition);
  if (most === null)
    return [
      { rule: 'split-test', path: ['judge'], message: 'revenue needs an offer in the funnel; use clicks' },
    ];
  const sold = new Set(definition.offers.map(({ product }) => product));
  const prices = definition.products.filter(({ key }) => sold.has(key)).map(({ price }) => parseMoney(price));
  const currencies = [...new Set(prices.map(({ currency }) => currency))];
  if (currencies.length > 1)
    return [
      {
        rule: 'split-test',
        path: ['judge'],
        message: `revenue needs offers in one currency, and here are ${currencies.join(', ')}; use clicks`,
      },
    ];
  const cap = split.cap === undefined ? null : parseMoney(split.cap);
  if (cap === null) return [];
  if (cap.currency !== most.currency)
    return [
      { rule: 'split-test', path: ['cap'], message: `use the currency of the offers, ${most.currency}` },
    ];
  return cap.amountMinor > 0
    ? []
    : [{ rule: 'split-test', path: ['cap'], message: 'use an amount above zero' }];
}

/** `within`: in milliseconds, how long after coming to the step a person counts. */
function planProblems({ explore, optimise, horizon }: FunnelTest, within: number): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  if (explore !== undefined && optimise === undefined)
    problems.push({
      rule: 'split-test',
      path: ['explore'],
      message: 'explore belongs to a test with optimise: thompson',
    });
  if (horizon !== undefined && durationMs(parseDuration(horizon)) <= within) {
    const days = Math.ceil(within / 86_400_000);
    const message = `nobody would count: a person counts ${days} ${days === 1 ? 'day' : 'days'} after coming to the step; use a longer time, or a shorter within`;
    problems.push({ rule: 'split-test', path: ['horizon'], message });
  }
  return problems;
}
