import { HOLDOUT } from '../../segments/held-out.js';
import { leavesOf, type Condition } from '../../sequences/steps/condition.js';
import {
  armOutcome,
  isAsking,
  isMail,
  waysOut,
  type SequenceDefinition,
  type SequenceNode,
} from '../../sequences/steps/definition.js';

/** A point where people part: which way out of a step, or what becomes of somebody after a mail. */
export interface Parting {
  name: string;
  options: readonly string[];
}

/** The name of a condition that stands for a way out of a step; no event of the API has a colon. */
const WAY = 'way:';

export function wayParting(sequence: string, node: SequenceNode): Parting {
  return { name: wayName(sequence, node.key), options: waysOut(node).map(({ outcome }) => outcome) };
}

export function wayName(sequence: string, step: string): string {
  return `way ${sequence} ${step}`;
}

export const STAYS = 'stays';
export const LEAVES = 'leaves';
export const BUYS = 'buys';
export const BUYS_WITH_BUMP = 'buys with bump';

export function mailParting(sequence: string, step: string, hasOffer: boolean): Parting {
  const options = hasOffer ? [STAYS, LEAVES, BUYS, BUYS_WITH_BUMP] : [STAYS, LEAVES];
  return { name: `mail ${sequence} ${step}`, options };
}

export const TAKES = 'takes';
export const DECLINES = 'declines';
/** Says nothing: leaves the page, or never came to it. */
export const CLOSES = 'closes';

/** What the buyer says to an offer that is shown after an order, whichever way it was come to. */
export function upsellParting(offer: string): Parting {
  return { name: upsellName(offer), options: [CLOSES, DECLINES, TAKES] };
}

export function upsellName(offer: string): string {
  return `upsell ${offer}`;
}

/**
 * The sequence with each question in place of a name for its answer, so that people part as they were measured to,
 * without dates of fields, as who waits for one has their time already, and without split tests of mails: all get the
 * control. Purchases still lead to goals and ends. What asks for earlier steps alone stays: the way that led there knows.
 */
export function withoutQuestions(definition: SequenceDefinition): SequenceDefinition {
  const paths = pathSplits(definition);
  return {
    ...definition,
    nodes: definition.nodes.map((node) => (asksTheWay(node, paths) ? node : withoutQuestion(node))),
  };
}

/** The earlier steps by which the way that somebody came decides how they go on. */
export function stepsAsked(definition: SequenceDefinition): string[] {
  const paths = pathSplits(definition);
  const asked = definition.nodes.flatMap((node) =>
    node.kind === 'choice' && asksTheWay(node, paths) ? earlierSteps(node.cases) : [],
  );
  return [...new Set(asked)];
}

/** Whether people part at the step, in a sequence `withoutQuestions`. */
export function isParting(node: SequenceNode): boolean {
  if (!isAsking(node)) return false;
  return node.kind !== 'choice' || node.cases.some(({ when }) => isAnswer(when));
}

function isAnswer(when: Condition): boolean {
  return 'kind' in when && when.kind === 'event' && when.event.startsWith(WAY);
}

function asksTheWay(node: SequenceNode, paths: ReadonlySet<string>): boolean {
  return (
    node.kind === 'choice' &&
    node.cases.every(({ when }) =>
      leavesOf(when).every((leaf) => leaf.kind === 'step' || (leaf.kind === 'split' && paths.has(leaf.step))),
    )
  );
}

function earlierSteps(cases: readonly { when: Condition }[]): string[] {
  return cases.flatMap(({ when }) => leavesOf(when).flatMap((leaf) => ('step' in leaf ? [leaf.step] : [])));
}

/** The splits whose arms are paths: which one somebody went is written down as its outcome. */
function pathSplits({ nodes }: SequenceDefinition): Set<string> {
  return new Set(nodes.flatMap(({ kind, key }) => (kind === 'split' ? [key] : [])));
}

/** The step and the place of the way among its ways, from the name of a condition; null for any other. */
export function wayOf(event: string): { step: string; way: number } | null {
  if (!event.startsWith(WAY)) return null;
  const [, step = '', way = ''] = event.split(':');
  return { step, way: Number(way) };
}

/** How people are drawn at a split into paths now. */
export interface PathShares {
  sequence: string;
  step: string;
  arms: readonly { key: string }[];
  shares: readonly number[];
  holdoutBps: number;
  /** The arm that everybody gets once the test is decided. */
  decided: string | null;
}

/** So many that no doubt is left: the shares of a split are not measured but given. */
const CERTAIN = 1e9;

/** What was measured as `belief` reads it, of people who are drawn by a split into paths. */
export function drawnWays({ arms, shares, holdoutBps, decided }: PathShares): Map<string, number> {
  if (decided !== null) return new Map([[armOutcome(decided), CERTAIN]]);
  const held = holdoutBps / 10_000;
  const drawn = arms.map(({ key }, arm): [string, number] => [
    armOutcome(key),
    (shares[arm] ?? 0) * (1 - held) * CERTAIN,
  ]);
  return new Map([...drawn, [HOLDOUT, held * CERTAIN]]);
}

function withoutQuestion(node: SequenceNode): SequenceNode {
  const { key } = node;
  const answer = (way: number) => ({ kind: 'event' as const, event: `${WAY}${key}:${way}` });
  if (node.kind === 'branch') {
    const { then: to, else: other, within } = node;
    return { kind: 'choice', key, cases: [{ when: answer(0), outcome: 'then', to }], within, else: other };
  }
  if (node.kind === 'choice')
    return { ...node, cases: node.cases.map((one, way) => ({ ...one, when: answer(way) })) };
  if (node.kind === 'split') {
    const cases = waysOut(node).map((way, place) => ({ ...way, when: answer(place) }));
    return { kind: 'choice', key, cases, within: null, else: node.next };
  }
  if (node.kind === 'goal') return { ...node, triggers: [...node.triggers, answer(0)] };
  const { untilField: _, ...rest } = node;
  if (!isMail(rest)) return rest;
  const { split: __, ...mail } = rest;
  return mail;
}
