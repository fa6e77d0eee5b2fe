import { addDuration } from '../values/duration.js';
import type { BranchNode, EmailNode, SequenceDefinition, SequenceNode } from './definition.js';
import { nextDueAt, type StepTiming } from './schedule.js';

export interface Sent {
  node: EmailNode;
  /** Until when the offer's price holds; null without an offer or a deadline. */
  offerExpiresAt: Date | null;
}

export type Progress =
  | { kind: 'completed'; sent: Sent[]; passed: string[] }
  | {
      kind: 'waiting';
      sent: Sent[];
      /** Branches decided on the way, `<key>` of each. */
      passed: string[];
      stepKey: string;
      nextAt: Date;
      /** Step whose mail a branch waits on. */
      waitsOnStep: string | null;
    };

export interface Facts {
  now: Date;
  timeZone: string;
  /** Whether a person clicked the mail that the branch at hand waits on. */
  clicked: boolean;
}

/** A sequence prepared for many people: the timing of each step is built once, as `nextDueAt` keeps its answers by it. */
export interface PreparedSequence {
  nodes: ReadonlyMap<string, SequenceNode>;
  timings: ReadonlyMap<string, StepTiming>;
}

export function prepareSequence(definition: SequenceDefinition): PreparedSequence {
  const nodes = new Map(definition.nodes.map((node) => [node.key, node]));
  const timings = new Map<string, StepTiming>();
  for (const node of definition.nodes) {
    if (node.kind === 'branch') continue;
    const delay = node.delay ?? undefined;
    const at = node.at ?? undefined;
    // Somebody waits for a step without delay, so it goes at any hour; the window is for mails nobody expects.
    const timed = delay !== undefined || at !== undefined;
    const window = timed ? (definition.window ?? undefined) : undefined;
    timings.set(node.key, { delay, at, window });
  }
  return { nodes, timings };
}

/** Runs the step that is due, and those after it that are due at the same moment. */
export function advance(sequence: PreparedSequence, stepKey: string, facts: Facts): Progress {
  const sent: Sent[] = [];
  const passed: string[] = [];
  let key: string | null = stepKey;
  // A step can be met once only: the list of nodes bounds the loop even if a definition were circular.
  for (let met = 0; key !== null && met <= sequence.nodes.size; met++) {
    const node = sequence.nodes.get(key);
    if (!node) break;
    if (node.kind === 'branch') {
      passed.push(node.key);
      key = facts.clicked ? node.then : node.else;
    } else {
      sent.push({ node, offerExpiresAt: offerExpiry(node, facts) });
      key = node.next;
    }
    const upcoming: SequenceNode | undefined = key === null ? undefined : sequence.nodes.get(key);
    if (!upcoming) break;
    if (upcoming.kind === 'branch') return waitForBranch(upcoming, { sent, passed, facts });
    const nextAt = dueAt(sequence, upcoming.key, facts);
    if (nextAt > facts.now)
      return { kind: 'waiting', sent, passed, stepKey: upcoming.key, nextAt, waitsOnStep: null };
  }
  return { kind: 'completed', sent, passed };
}

/** When the first step runs for somebody who joins at `facts.now`. */
export function dueAt(
  sequence: PreparedSequence,
  key: string,
  { now, timeZone }: Pick<Facts, 'now' | 'timeZone'>,
): Date {
  return nextDueAt(sequence.timings.get(key) ?? {}, now, timeZone);
}

function waitForBranch(
  node: BranchNode,
  { sent, passed, facts }: { sent: Sent[]; passed: string[]; facts: Facts },
): Progress {
  const nextAt = addDuration(facts.now, node.within, facts.timeZone);
  return { kind: 'waiting', sent, passed, stepKey: node.key, nextAt, waitsOnStep: node.clicked };
}

function offerExpiry({ offer, deadline }: EmailNode, { now, timeZone }: Facts): Date | null {
  return offer === null || deadline === null ? null : addDuration(now, deadline, timeZone);
}
