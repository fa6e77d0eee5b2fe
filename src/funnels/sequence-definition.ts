import { parseDuration } from '../values/duration.js';
import type { OfferSnapshot, SequenceDefinition, SequenceNode } from '../sequences/definition.js';
import { isBranch, type FunnelDefinition, type FunnelStep } from './funnel.schemas.js';

export interface SequenceParts {
  templateId(key: string): string;
  offer(key: string): OfferSnapshot | undefined;
}

/** Flattens the tree of steps: every node names the next, the last of a branch the step after the branch. */
export function sequenceDefinition({ sequence }: FunnelDefinition, parts: SequenceParts): SequenceDefinition {
  const { window, steps, exitOn } = sequence;
  return {
    window: window ? { days: window.days, from: window.from, to: window.to } : null,
    exitOn: exitOn.map(({ purchased }) => purchased),
    first: steps[0]?.key ?? null,
    nodes: nodesOf(steps, null, parts),
  };
}

function nodesOf(steps: readonly FunnelStep[], after: string | null, parts: SequenceParts): SequenceNode[] {
  return steps.flatMap((step, index): SequenceNode[] => {
    const next = steps[index + 1]?.key ?? after;
    if (isBranch(step)) {
      return [
        {
          kind: 'branch',
          key: step.key,
          clicked: step.if.clicked,
          within: parseDuration(step.if.within),
          then: step.then[0]?.key ?? next,
          else: step.else[0]?.key ?? next,
        },
        ...nodesOf(step.then, next, parts),
        ...nodesOf(step.else, next, parts),
      ];
    }
    return [
      {
        kind: step.offer === undefined ? 'email' : 'offer',
        key: step.key,
        templateKey: step.email,
        templateId: parts.templateId(step.email),
        delay: step.delay === undefined ? null : parseDuration(step.delay),
        at: step.at ?? null,
        offer: step.offer === undefined ? null : (parts.offer(step.offer) ?? null),
        deadline: step.deadline === undefined ? null : parseDuration(step.deadline),
        next,
      },
    ];
  });
}
