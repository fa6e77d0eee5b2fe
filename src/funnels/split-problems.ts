import { durationMs, parseDuration } from '../values/duration.js';
import { parseMoney } from '../values/money.js';
import type { FunnelDefinition } from './funnel.schemas.js';
import type { DefinitionProblem } from './lint/rules.js';
import { dearestOrder, withinMs } from './split-definition.js';
import type { FunnelSplit } from './split.schemas.js';
import { armSteps, type FunnelEmailStep } from './step.schemas.js';

/** What is wrong with the split test of a step, at its place below the step. */
export function splitProblems(step: FunnelEmailStep, definition: FunnelDefinition): DefinitionProblem[] {
  if (!hasSplit(step)) return [];
  return [
    ...armProblems(step, definition),
    ...judgeProblems(step.split, definition),
    ...planProblems(step, definition),
  ].map((problem) => ({ ...problem, path: ['split', ...problem.path] }));
}

function hasSplit(step: FunnelEmailStep): step is FunnelEmailStep & { split: FunnelSplit } {
  return step.split !== undefined;
}

function armProblems(
  step: FunnelEmailStep & { split: FunnelSplit },
  { offers }: FunnelDefinition,
): DefinitionProblem[] {
  const seen = new Map<string, string>();
  return armSteps(step).flatMap(({ key, subject, step: mail, own }, index): DefinitionProblem[] => {
    const problems: DefinitionProblem[] = [];
    const path = ['arms', index];
    if ([...seen.values()].includes(key))
      problems.push({
        rule: 'split-test',
        path: [...path, 'key'],
        message: `a second arm has the key "${key}"; each key is used once`,
      });
    const { email, offer, deadline, delay, at } = mail;
    const content = JSON.stringify([subject ?? null, email, offer, deadline, delay, at]);
    const same = seen.get(content);
    if (same !== undefined) {
      const message = `"${key}" is the same as "${same}"; give it a subject, email, offer, deadline, delay or at of its own`;
      problems.push({ rule: 'split-test', path, message });
    } else seen.set(content, key);
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
}

function judgeProblems(split: FunnelSplit, definition: FunnelDefinition): DefinitionProblem[] {
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

function planProblems(
  step: FunnelEmailStep & { split: FunnelSplit },
  definition: FunnelDefinition,
): DefinitionProblem[] {
  const { explore, optimise, horizon } = step.split;
  const problems: DefinitionProblem[] = [];
  if (explore !== undefined && optimise === undefined)
    problems.push({
      rule: 'split-test',
      path: ['explore'],
      message: 'explore belongs to a test with optimise: thompson',
    });
  const within = withinMs(definition, step);
  if (horizon !== undefined && durationMs(parseDuration(horizon)) <= within) {
    const days = Math.ceil(within / 86_400_000);
    const message = `nobody would count: a person counts ${days} ${days === 1 ? 'day' : 'days'} after coming to the step; use a longer time, or a shorter within`;
    problems.push({ rule: 'split-test', path: ['horizon'], message });
  }
  return problems;
}
