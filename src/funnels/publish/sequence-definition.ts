import type { Condition } from '../../sequences/steps/condition.js';
import type {
  EmailNode,
  OfferSnapshot,
  Reentry,
  SequenceDefinition,
  SequenceNode,
  TimedStep,
} from '../../sequences/steps/definition.js';
import { parseDuration } from '../../values/duration.js';
import { canonicalTimeZone } from '../../values/zoned-time.js';
import { conditionOf, entryTriggerOf, triggerOf } from '../schemas/condition.schemas.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { pathTestOf, splitOf } from './split-definition.js';
import {
  isMailStep,
  isSplitStep,
  waysOf,
  type FunnelActionStep,
  type FunnelBranchStep,
  type FunnelEmailStep,
  type FunnelSplitStep,
  type FunnelStep,
  type FunnelSwitchStep,
  type FunnelTiming,
} from '../schemas/step.schemas.js';

interface SequenceParts {
  /** `subject`: of an arm, in place of the template's. */
  templateId(key: string, subject?: string): string;
  offer(key: string): OfferSnapshot | undefined;
}

/** Flattens the tree of steps: every node names the next, the last of a branch the step after the branch. */
export function sequenceDefinition(definition: FunnelDefinition, parts: SequenceParts): SequenceDefinition {
  const { window, steps, exitOn, quietHours, fallbackTimezone, enterOn, reentry, priority } =
    definition.sequence;
  const exits = exitOn.map(triggerOf);
  const others = exits.filter(({ kind }) => kind !== 'purchased');
  return {
    window: window ? { days: window.days, from: window.from, to: window.to } : null,
    ...(quietHours === undefined ? {} : { quietHours }),
    ...(fallbackTimezone === undefined ? {} : { fallbackZone: canonicalTimeZone(fallbackTimezone) ?? 'UTC' }),
    exitOn: exits.flatMap((exit) => (exit.kind === 'purchased' ? [exit.product] : [])),
    ...(others.length === 0 ? {} : { exits: others }),
    ...(enterOn === undefined
      ? {}
      : { enterOn: enterOn.map((one) => entryTriggerOf(one, definition.funnel)) }),
    ...(reentry === undefined || reentry === 'never' ? {} : { reentry: reentryOf(reentry) }),
    ...(priority === undefined ? {} : { priority }),
    first: steps[0]?.key ?? null,
    nodes: nodesOf(steps, null, { ...parts, definition }),
  };
}

/** What can be said of the sequence without the ids of its mails and the words of its offers. */
export function bareSequence(definition: FunnelDefinition): SequenceDefinition {
  return sequenceDefinition(definition, { templateId: () => '', offer: () => undefined });
}

/** Steps by themselves, as `bareSequence` makes them: the last of them lead nowhere. */
export function barePath(definition: FunnelDefinition, steps: readonly FunnelStep[]): SequenceNode[] {
  return nodesOf(steps, null, { definition, templateId: () => '', offer: () => undefined });
}

function reentryOf(text: string): Reentry {
  if (text === 'always') return { mode: 'always' };
  if (text === 'per event') return { mode: 'event' };
  return { mode: 'after', days: Number(/\d+/.exec(text)?.[0]) };
}

interface Parts extends SequenceParts {
  definition: FunnelDefinition;
}

function nodesOf(steps: readonly FunnelStep[], after: string | null, parts: Parts): SequenceNode[] {
  return steps.flatMap((step, index): SequenceNode[] => {
    const next = steps[index + 1]?.key ?? after;
    const inside = waysOf(step).flatMap((way) => nodesOf(way.steps, next, parts));
    return [nodeOf(step, next, parts), ...inside];
  });
}

function nodeOf(step: FunnelStep, next: string | null, parts: Parts): SequenceNode {
  const { funnel } = parts.definition;
  if ('if' in step) return branchNode(step, next, funnel);
  if ('switch' in step) return switchNode(step, next, funnel);
  if (isSplitStep(step)) return splitNode(step, next, parts);
  if ('goal' in step) {
    const triggers = (Array.isArray(step.goal) ? step.goal : [step.goal]).map(triggerOf);
    return { kind: 'goal', key: step.key, triggers, otherwise: step.otherwise, next };
  }
  return isMailStep(step) ? mailNode(step, next, parts) : actionNode(step, next);
}

/** A click that is waited for keeps the form it has had since the first version, so that nothing is published anew. */
function branchNode(
  { key, if: asked, ...ways }: FunnelBranchStep,
  next: string | null,
  funnel: string,
): SequenceNode {
  const [then, other] = [ways.then[0]?.key ?? next, ways.else[0]?.key ?? next];
  const { within, ...question } = asked;
  const when = conditionOf(question, funnel);
  const duration = within === undefined ? null : parseDuration(within);
  if (when.kind === 'clicked' && duration !== null)
    return { kind: 'branch', key, clicked: when.step, within: duration, then, else: other };
  return { kind: 'choice', key, cases: [{ when, outcome: 'then', to: then }], within: duration, else: other };
}

function switchNode(step: FunnelSwitchStep, next: string | null, funnel: string): SequenceNode {
  const cases = step.switch.map(
    ({ if: asked, then }, index): { when: Condition; outcome: string; to: string | null } => ({
      when: conditionOf(asked, funnel),
      outcome: `case ${index + 1}`,
      to: then[0]?.key ?? next,
    }),
  );
  const within = step.within === undefined ? null : parseDuration(step.within);
  return { kind: 'choice', key: step.key, cases, within, else: step.else[0]?.key ?? next };
}

function splitNode(step: FunnelSplitStep, next: string | null, parts: Parts): SequenceNode {
  return {
    kind: 'split',
    key: step.key,
    // What comes behind an arm is no part of what is compared.
    split: pathTestOf(parts.definition, step, (steps) => nodesOf(steps, null, parts)),
    arms: step.split.arms.map(({ key, steps }) => ({ key, to: steps[0]?.key ?? next })),
    next,
  };
}

function mailNode(step: FunnelEmailStep, next: string | null, parts: Parts): SequenceNode {
  const { split, ...rest } = step;
  return {
    kind: step.offer === undefined ? 'email' : 'offer',
    key: step.key,
    ...mailOf(step, undefined, parts),
    next,
    ...otherTiming(step),
    ...(step.toOwners === undefined ? {} : { toOwners: step.toOwners }),
    ...(split === undefined
      ? {}
      : {
          split: splitOf(parts.definition, { ...rest, split }, (arm, subject) => mailOf(arm, subject, parts)),
        }),
  };
}

/** What an arm of a split test may have of its own. */
function mailOf(
  step: FunnelEmailStep,
  subject: string | undefined,
  parts: SequenceParts,
): Pick<EmailNode, 'templateKey' | 'templateId' | 'delay' | 'at' | 'offer' | 'deadline'> {
  return {
    templateKey: step.email,
    templateId: parts.templateId(step.email, subject),
    ...usualTiming(step),
    offer: step.offer === undefined ? null : (parts.offer(step.offer) ?? null),
    deadline: step.deadline === undefined ? null : parseDuration(step.deadline),
  };
}

function actionNode(step: FunnelActionStep, next: string | null): SequenceNode {
  const { key } = step;
  const timed = { key, ...usualTiming(step), ...otherTiming(step), next };
  if ('wait' in step) {
    const delay = step.wait === true ? timed.delay : parseDuration(step.wait);
    return { kind: 'wait', ...timed, delay };
  }
  if ('tag' in step) return { kind: 'tag', tags: [step.tag].flat(), ...timed };
  if ('untag' in step) return { kind: 'untag', tags: [step.untag].flat(), ...timed };
  if ('set' in step) return { kind: 'set', fields: step.set, ...timed };
  if ('move' in step) return { kind: 'move', sequence: step.move, ...timed };
  if ('webhook' in step) return { kind: 'webhook', url: step.webhook, ...timed };
  if ('notify' in step) return { kind: 'notify', text: step.notify, ...timed };
  return { kind: 'end', ...timed };
}

function usualTiming({ delay, at }: FunnelTiming): Pick<TimedStep, 'delay' | 'at'> {
  return { delay: delay === undefined ? null : parseDuration(delay), at: at ?? null };
}

/** Only what is there: an older definition and its copy of today have one hash. */
function otherTiming({
  onDays,
  window,
  quietHours,
  until,
  expires,
}: FunnelTiming): Omit<TimedStep, 'key' | 'next' | 'delay' | 'at'> {
  return {
    ...(onDays === undefined ? {} : { onDays }),
    ...(window === undefined ? {} : { window }),
    ...(quietHours === undefined ? {} : { quietHours }),
    ...(typeof until === 'string' ? { until } : {}),
    ...(typeof until === 'object' ? { untilField: fieldDate(until) } : {}),
    ...(expires === undefined ? {} : { expires }),
  };
}

function fieldDate({
  plus,
  minus,
  ...source
}: Exclude<NonNullable<FunnelTiming['until']>, string>): NonNullable<TimedStep['untilField']> {
  const offset = plus ?? minus;
  return {
    ...source,
    offset: offset === undefined ? null : parseDuration(offset),
    sign: minus === undefined ? 1 : -1,
  };
}
