import { sameTrigger, type FieldTrigger, type MailTrigger, type Trigger } from './condition.js';
import { exitsOf, waysOut, type GoalNode, type SequenceDefinition } from './definition.js';
import type { PreparedSequence } from './prepared.js';

/** What something that happens to a person means for their place in a sequence. */
export type Reaction = { kind: 'none' } | { kind: 'exit'; reason: string } | { kind: 'jump'; goal: GoalNode };

/** A goal that lies ahead goes before an exit; one that is behind the person means nothing. */
export function reactionTo(sequence: PreparedSequence, stepKey: string, trigger: Trigger): Reaction {
  for (const node of sequence.definition.nodes) {
    if (node.kind !== 'goal' || !node.triggers.some((one) => sameTrigger(one, trigger))) continue;
    if (isAhead(sequence, stepKey, node.key)) return { kind: 'jump', goal: node };
  }
  const exits = exitsOf(sequence.definition).some((one) => sameTrigger(one, trigger));
  return exits ? { kind: 'exit', reason: triggerText(trigger) } : { kind: 'none' };
}

/** As it stands in `exit_reason`. */
export function triggerText(trigger: Trigger): string {
  switch (trigger.kind) {
    case 'purchased':
      return `purchased ${trigger.product}`;
    case 'tag':
      return `tagged ${trigger.tag}`;
    case 'event':
      return `event ${trigger.event}`;
    case 'clicked':
    case 'opened':
      return `${trigger.kind} ${trigger.step}`;
    case 'field':
      return `field ${trigger.field}`;
    default:
      return trigger satisfies never;
  }
}

/** Whether somebody who stands before `from` can still come to `goal`; standing before the goal itself counts. */
export function isAhead({ nodes }: PreparedSequence, from: string, goal: string): boolean {
  const seen = new Set<string>();
  const ahead: (string | null)[] = [from];
  for (let key = ahead.pop(); key !== undefined; key = ahead.pop()) {
    if (key === goal) return true;
    const node = key === null || seen.has(key) ? undefined : nodes.get(key);
    if (!node) continue;
    seen.add(node.key);
    ahead.push(...waysOut(node).map(({ to }) => to));
  }
  return false;
}

/** Values of fields that end the sequence or take people to a goal. */
export function fieldTriggersOf(definition: SequenceDefinition): FieldTrigger[] {
  return allTriggers(definition).flatMap(({ trigger }) => (trigger.kind === 'field' ? [trigger] : []));
}

/** Opens and clicks that end the sequence (`goal` null) or take people to a goal. */
export function mailTriggersOf(
  definition: SequenceDefinition,
): { trigger: MailTrigger; goal: string | null }[] {
  return allTriggers(definition).flatMap(({ trigger, goal }) =>
    trigger.kind === 'clicked' || trigger.kind === 'opened' ? [{ trigger, goal }] : [],
  );
}

function allTriggers(definition: SequenceDefinition): { trigger: Trigger; goal: string | null }[] {
  const goals = definition.nodes.flatMap((node) =>
    node.kind === 'goal' ? node.triggers.map((trigger) => ({ trigger, goal: node.key })) : [],
  );
  return [...exitsOf(definition).map((trigger) => ({ trigger, goal: null })), ...goals];
}
