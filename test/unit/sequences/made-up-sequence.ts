import type { EmailNode, SequenceDefinition, SequenceNode } from '../../../src/sequences/steps/definition.js';
import { prepareSequence } from '../../../src/sequences/steps/prepared.js';
import type { Facts, Progress } from '../../../src/sequences/steps/progress.js';

export const MONDAY = new Date('2026-03-02T09:00:00Z');
export const PRICE = { amountMinor: 4900, currency: 'EUR' };

export function email(key: string, next: string | null, change: Partial<EmailNode> = {}): EmailNode {
  const rest = {
    templateKey: `emails/${key}`,
    templateId: '1',
    delay: null,
    at: null,
    offer: null,
    deadline: null,
  };
  return { kind: 'email', key, ...rest, ...change, next };
}
export const sequence = (
  nodes: SequenceNode[],
  change: Partial<SequenceDefinition> = {},
): ReturnType<typeof prepareSequence> =>
  prepareSequence({ window: null, exitOn: [], first: nodes[0]?.key ?? null, nodes, ...change });
export const facts: Facts = {
  now: MONDAY,
  timeZone: 'UTC',
  answer: () => false,
  heardAt: () => null,
  date: () => undefined,
  arm: () => null,
  promise: () => null,
  owned: () => null,
  wait: 'new',
  hoursOf: null,
  had: null,
};
export const sentKeys = ({ sent }: Progress): string[] => sent.map(({ node }) => node.key);
