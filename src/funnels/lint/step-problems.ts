import { HOLDOUT } from '../../segments/held-out.js';
import { isAsking, isMail, stepsFrom, type SequenceDefinition } from '../../sequences/steps/definition.js';
import { timingOf } from '../../sequences/steps/prepared.js';
import { checkTiming, type StepTiming } from '../../sequences/steps/schedule.js';
import { askedBy } from './questions.js';
import { triggerOf, type FunnelCondition } from '../schemas/condition.schemas.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { among, type DefinitionProblem } from './rules.js';
import { splitProblems } from './split-problems.js';
import type { FunnelTest } from '../schemas/split.schemas.js';
import {
  allSteps,
  armSteps,
  isMailStep,
  isTimed,
  waysOf,
  type FunnelEmailStep,
  type FunnelStep,
  type FunnelTiming,
} from '../schemas/step.schemas.js';

/** What the steps of a funnel name: mails before them, offers, products, other steps. */
interface Names {
  funnel: string;
  offers: readonly string[];
  products: readonly string[];
  /** Products that make their buyers members. */
  memberships: readonly string[];
  /** Steps in the order of the file, up to the one at hand. */
  earlier: string[];
  earlierMails: string[];
  /** Their split tests, with what people may get there: an arm, or to be held out. */
  earlierSplits: Map<string, string[]>;
}

/** What is wrong with the steps of a funnel: names that lead nowhere, times that never come, steps nobody reaches. */
export function stepProblems(
  definition: FunnelDefinition,
  compiled: SequenceDefinition,
): DefinitionProblem[] {
  const { funnel, sequence, offers, products } = definition;
  const names: Names = {
    funnel,
    offers: offers.map(({ key }) => key),
    products: products.map(({ key }) => key),
    memberships: products.flatMap(({ key, membership }) => (membership === undefined ? [] : [key])),
    earlier: [],
    earlierMails: [],
    earlierSplits: new Map(),
  };
  const problems = allSteps(sequence.steps).flatMap(({ step, path }) => {
    const found = [
      ...ownProblems(step, names),
      ...splitProblems(step, definition),
      ...conditionProblems(step, names),
    ];
    names.earlier.push(step.key);
    if (isMailStep(step)) names.earlierMails.push(step.key);
    if ('split' in step && step.split !== undefined) names.earlierSplits.set(step.key, armNames(step.split));
    return found.map((problem) => ({ ...problem, path: [...path, ...problem.path] }));
  });
  return [
    ...problems,
    ...timingProblems(definition, compiled),
    ...unreachable(sequence.steps, ['sequence', 'steps'], reachedSteps(compiled)),
    ...triggerProblems(definition, names),
  ];
}

function ownProblems(step: FunnelStep, names: Names): DefinitionProblem[] {
  if (!isTimed(step)) {
    const isEmpty = waysOf(step).every(({ steps }) => steps.length === 0);
    if ('if' in step && isEmpty && step.if.within === undefined)
      return [
        {
          rule: 'empty-branch',
          path: [],
          message: 'a branch needs steps in then or else, or within to wait',
        },
      ];
    return 'switch' in step && isEmpty
      ? [{ rule: 'empty-branch', path: [], message: 'a switch needs steps in its cases' }]
      : [];
  }
  const rule = 'conflicting-times';
  const problems = dateProblems(step, names);
  if ('wait' in step) {
    if (step.wait !== true && step.delay !== undefined)
      problems.push({
        rule,
        path: ['delay'],
        message: 'wait says how long already; leave out one of the two',
      });
    if (step.wait !== true && step.until !== undefined)
      problems.push({ rule, path: ['until'], message: 'with until, write wait: true' });
    if (step.wait === true && step.delay === undefined && step.at === undefined && step.until === undefined)
      problems.push({
        rule,
        path: ['wait'],
        message: 'say how long, such as 2 days, or until when with at or until',
      });
  }
  if ('move' in step && step.move === names.funnel)
    problems.push({
      rule: 'unknown-sequence',
      path: ['move'],
      message: 'a sequence cannot move people to itself; see reentry',
    });
  return isMailStep(step) ? [...problems, ...mailProblems(step, names)] : problems;
}

function mailProblems(step: FunnelEmailStep, names: Names): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  if (step.offer !== undefined && !names.offers.includes(step.offer))
    problems.push({
      rule: 'unknown-offer',
      path: ['offer'],
      message: `there is no offer "${step.offer}"${among(names.offers)}`,
    });
  if (step.deadline !== undefined && step.offer === undefined)
    problems.push({
      rule: 'deadline-without-offer',
      path: ['deadline'],
      message: 'a deadline belongs to a step with an offer',
    });
  const offers = armSteps(step).some(({ step: mail }) => mail.offer !== undefined);
  if (step.toOwners !== undefined && !offers)
    problems.push({
      rule: 'owners-without-offer',
      path: ['toOwners'],
      message: 'toOwners belongs to a step with an offer',
    });
  return problems;
}

function dateProblems({ until, delay }: FunnelTiming, names: Names): DefinitionProblem[] {
  if (typeof until !== 'object') return [];
  const rule = 'conflicting-times';
  const problems: DefinitionProblem[] =
    'member' in until ? [...memberProblems(until.member, ['until'], names)] : [];
  if (until.plus !== undefined && until.minus !== undefined)
    problems.push({ rule, path: ['until'], message: 'use plus or minus, one of the two' });
  if (delay !== undefined)
    problems.push({
      rule,
      path: ['until'],
      message: `it says when, so leave out the delay; a time behind the date is its plus, such as plus: ${delay}`,
    });
  return problems;
}

function conditionProblems(step: FunnelStep, names: Names): DefinitionProblem[] {
  return askedBy(step).flatMap(({ question, path }) => questionProblems(question, path, names));
}

function questionProblems(
  question: FunnelCondition,
  path: readonly PropertyKey[],
  names: Names,
): DefinitionProblem[] {
  const { earlier, earlierMails, products } = names;
  for (const name of ['clicked', 'opened'] as const) {
    const mail: unknown = Reflect.get(question, name);
    if (typeof mail === 'string' && !earlierMails.includes(mail)) {
      const message = `"${mail}" is not an email step before this one${among(earlierMails)}`;
      return [{ rule: 'unknown-step', path: [...path, name], message }];
    }
  }
  if ('step' in question && !earlier.includes(question.step)) {
    const message = `"${question.step}" is not a step before this one${among(earlier)}`;
    return [{ rule: 'unknown-step', path: [...path, 'step'], message }];
  }
  // Of other sequences `namedArmProblems` says it.
  if ('split' in question)
    return (question.sequence ?? names.funnel) === names.funnel
      ? armProblems(question, path, names.earlierSplits)
      : [];
  if ('member' in question) return memberProblems(question.member, path, names);
  if ('purchased' in question) return productProblems(question.purchased, [...path, 'purchased'], products);
  if ('refunded' in question) return productProblems(question.refunded, [...path, 'refunded'], products);
  return [];
}

function armNames({ arms, holdout }: FunnelTest): string[] {
  return [...arms.map(({ key }) => key), ...(holdout === undefined ? [] : [HOLDOUT])];
}

function armProblems(
  { split, arm }: { split: string; arm: string },
  path: readonly PropertyKey[],
  splits: ReadonlyMap<string, readonly string[]>,
): DefinitionProblem[] {
  const arms = splits.get(split);
  if (arms === undefined) {
    const message = `"${split}" is not a step with a split test before this one${among([...splits.keys()])}`;
    return [{ rule: 'unknown-step', path: [...path, 'split'], message }];
  }
  if (arms.includes(arm)) return [];
  const message = `the split test "${split}" has no arm "${arm}"${among(arms)}`;
  return [{ rule: 'unknown-arm', path: [...path, 'arm'], message }];
}

function productProblems(
  product: string,
  path: readonly PropertyKey[],
  products: readonly string[],
): DefinitionProblem[] {
  if (products.includes(product)) return [];
  return [
    {
      rule: 'unknown-product',
      path,
      message: `there is no product "${product}"${among(products)}`,
    },
  ];
}

/** Nobody is ever a member by a product that grants no membership. */
function memberProblems(
  product: string,
  path: readonly PropertyKey[],
  { memberships, products }: Names,
): DefinitionProblem[] {
  if (memberships.includes(product)) return [];
  const message = products.includes(product)
    ? `the product "${product}" makes nobody a member; give it membership, such as { lasts: 12 months }`
    : `there is no product "${product}" with a membership${among(memberships)}`;
  return [{ rule: 'unknown-product', path: [...path, 'member'], message }];
}

function triggerProblems({ sequence, funnel }: FunnelDefinition, names: Names): DefinitionProblem[] {
  const { products, earlierMails } = names;
  const goals = allSteps(sequence.steps).flatMap(({ step, path }) => {
    if (!('goal' in step)) return [];
    if (!Array.isArray(step.goal)) return [{ trigger: step.goal, path: [...path, 'goal'] }];
    return step.goal.map((trigger, index) => ({ trigger, path: [...path, 'goal', index] }));
  });
  const exits = sequence.exitOn.map((trigger, index) => ({ trigger, path: ['sequence', 'exitOn', index] }));
  const entries = (sequence.enterOn ?? []).flatMap((trigger, index) =>
    trigger.sequence === undefined || trigger.sequence === funnel
      ? [{ trigger, path: ['sequence', 'enterOn', index] }]
      : [],
  );
  return [...goals, ...exits, ...entries].flatMap(({ trigger, path }) => {
    const given = triggerOf(trigger);
    if (given.kind === 'clicked' || given.kind === 'opened') {
      if (earlierMails.includes(given.step)) return [];
      const message = `"${given.step}" is not an email step of the sequence${among(earlierMails)}`;
      return [{ rule: 'unknown-step', path: [...path, given.kind], message }];
    }
    if (given.kind === 'member') return memberProblems(given.product, path, names);
    if (given.kind !== 'purchased' && given.kind !== 'refunded') return [];
    return productProblems(given.product, [...path, given.kind], products);
  });
}

/** Times that can never come, as the schedule itself says. */
function timingProblems(definition: FunnelDefinition, compiled: SequenceDefinition): DefinitionProblem[] {
  const places = new Map(allSteps(definition.sequence.steps).map(({ step, path }) => [step.key, path]));
  return compiled.nodes.flatMap((node) => {
    if (isAsking(node)) return [];
    const path = places.get(node.key) ?? [];
    const own = timesNobody(timingOf(node, compiled), path);
    if (own.length > 0 || !isMail(node) || node.split === undefined) return own;
    // Arms with times of their own are refused there already.
    if (node.until !== undefined) return own;
    return node.split.arms.flatMap(({ delay, at }, index) =>
      timesNobody(timingOf({ ...node, delay, at }, compiled), [...path, 'split', 'arms', index]),
    );
  });
}

function timesNobody(timing: StepTiming, path: readonly PropertyKey[]): DefinitionProblem[] {
  return checkTiming(timing).map((problem): DefinitionProblem => {
    const [, field = '', message = problem] = /^([\w.]+): (.*)$/s.exec(problem) ?? [];
    const rule = field === 'until' ? 'conflicting-times' : 'impossible-time';
    return { rule, path: [...path, ...field.split('.')], message };
  });
}

/** Steps after those that end the sequence for everybody; the first of them stands for the rest. */
function unreachable(
  steps: readonly FunnelStep[],
  path: readonly PropertyKey[],
  reached: ReadonlySet<string>,
): DefinitionProblem[] {
  return steps.flatMap((step, index): DefinitionProblem[] => {
    const inside = waysOf(step).flatMap((way) =>
      unreachable(way.steps, [...path, index, ...way.path], reached),
    );
    const next = steps[index + 1];
    if (!reached.has(step.key) || next === undefined || reached.has(next.key)) return inside;
    const why = isTimed(step) ? 'which ends the sequence' : 'all of whose ways end the sequence';
    const message = `nobody comes to the steps after "${step.key}", ${why}`;
    return [...inside, { rule: 'unreachable-step', path: [...path, index + 1], message }];
  });
}

function reachedSteps({ first, nodes }: SequenceDefinition): Set<string> {
  return stepsFrom(new Map(nodes.map((node) => [node.key, node])), first);
}
