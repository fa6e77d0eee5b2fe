import { HOLDOUT } from '../../segments/held-out.js';
import type { ExperimentTerms } from '../../experiments/experiment-terms.js';
import type { Duration } from '../../values/duration.js';
import type { Money } from '../../values/money.js';
import type { LocalSpan, SendWindow } from '../../values/week-hours.js';
import type { Weekday } from '../../values/zoned-time.js';
import type { Condition, EntryTrigger, FieldValue, Trigger } from './condition.js';

/** The offer as it stood when the version was published. Mails say what it costs when they are planned. */
export interface OfferSnapshot {
  slug: string;
  title: string;
  price: Money;
  fullPrice: Money;
  discountBps: number;
}

/** Where a date stands: `member` is the product of a membership. */
export type DateSource = { field: string } | { member: string };

interface Step {
  /** Never changes and is never a position: people are inside while the owner edits. */
  key: string;
}

/** When a step runs. What is not set is left out, so that an old version and its copy of today have one hash. */
export interface TimedStep extends Step {
  delay: Duration | null;
  /** Local time of day of the subscriber. */
  at: string | null;
  onDays?: Weekday[];
  /** Of this step alone, in place of the sequence's. */
  window?: SendWindow;
  quietHours?: LocalSpan;
  /** Not before this date, as `parseMoment` reads it. */
  until?: string;
  /** The date in a field of the subscriber, or the end of a membership, `offset` before or after it. */
  untilField?: DateSource & { offset: Duration | null; sign: 1 | -1 };
  /** Passed over after this date, as `parseMoment` reads it; a day counts to its end. */
  expires?: string;
  /** `null`: the sequence ends. */
  next: string | null;
}

export interface EmailNode extends TimedStep {
  kind: 'email' | 'offer';
  templateKey: string;
  templateId: string;
  offer: OfferSnapshot | null;
  /** How long the offer's price holds for this person, from when the step runs; never shorter than an earlier mail said. */
  deadline: Duration | null;
  /** Whether who owns what the mail offers gets it. Left out, they do only where the step waits for the end of that membership. */
  toOwners?: ToOwners;
  split?: Split;
}

export const TO_OWNERS = ['skip', 'send'] as const;
export type ToOwners = (typeof TO_OWNERS)[number];

/** What one arm of a split test has of its own. */
export type SplitArm = { key: string } & Pick<
  EmailNode,
  'templateKey' | 'templateId' | 'offer' | 'deadline' | 'delay' | 'at'
>;

export interface SplitTest {
  /** Names the place and what is compared. */
  experiment: string;
  /** Names the place alone. */
  test: string;
  terms: ExperimentTerms;
}

/** A test of a step. Whichever arm somebody gets, it is the one mail of the step. */
export interface Split extends SplitTest {
  /** In the order of the terms. */
  arms: SplitArm[];
}

interface WaitNode extends TimedStep {
  kind: 'wait';
}

interface TagNode extends TimedStep {
  kind: 'tag' | 'untag';
  tags: string[];
}

/** Null empties a field. */
interface SetNode extends TimedStep {
  kind: 'set';
  fields: Record<string, FieldValue | null>;
}

/** Leaves this sequence and joins another. */
interface MoveNode extends TimedStep {
  kind: 'move';
  sequence: string;
}

export interface WebhookNode extends TimedStep {
  kind: 'webhook';
  url: string;
}

export interface NotifyNode extends TimedStep {
  kind: 'notify';
  text: string;
}

interface EndNode extends TimedStep {
  kind: 'end';
}

/** Waits until the mail of step `clicked` is clicked by a person, at most `within`. */
export interface BranchNode extends Step {
  kind: 'branch';
  clicked: string;
  within: Duration;
  then: string | null;
  else: string | null;
}

/** The first case whose condition holds; waits for one, at most `within`, when that is set. */
export interface ChoiceNode extends Step {
  kind: 'choice';
  cases: { when: Condition; outcome: string; to: string | null }[];
  within: Duration | null;
  else: string | null;
}

/** Who meets a trigger comes here at once from anywhere before it; who walks here without goes on or ends. */
export interface GoalNode extends Step {
  kind: 'goal';
  triggers: Trigger[];
  otherwise: 'continue' | 'end';
  next: string | null;
}

/** Sends each person down the path of their arm. Who is held out goes on behind all of them. */
export interface SplitNode extends Step {
  kind: 'split';
  split: SplitTest;
  /** In the order of the terms. */
  arms: { key: string; to: string | null }[];
  next: string | null;
}

export type TimedNode =
  EmailNode | WaitNode | TagNode | SetNode | MoveNode | WebhookNode | NotifyNode | EndNode;
/** A step that asks something before it knows where it leads. */
export type AskingNode = BranchNode | ChoiceNode | GoalNode | SplitNode;
export type SequenceNode = TimedNode | AskingNode;

/** Whether somebody who left or finished may join again. `event`: once for each key of an event. */
export type Reentry = { mode: 'always' } | { mode: 'after'; days: number } | { mode: 'event' };

/** A version of a sequence: a flat list, in the order of the file, in which every node names the next. */
export interface SequenceDefinition {
  window: SendWindow | null;
  quietHours?: LocalSpan;
  /** For people whose zone is not known; UTC when it is left out. */
  fallbackZone?: string;
  /** Keys of the products whose purchase ends the sequence. */
  exitOn: string[];
  /** What else ends it. */
  exits?: Trigger[];
  /** What makes active subscribers join. */
  enterOn?: EntryTrigger[];
  /** Never, when it is left out. */
  reentry?: Reentry;
  /** Of its mails among those due at the same time: 1 goes first. Left out: 5, and 4 of what it begins with at once, for fewer than a crowd. */
  priority?: number;
  first: string | null;
  nodes: SequenceNode[];
}

/** The ways out of a step, by the outcome that is written down; every other step has one, under any name. */
export function waysOut(node: SequenceNode): { outcome: string; to: string | null }[] {
  if (node.kind === 'branch') {
    return [
      { outcome: 'then', to: node.then },
      { outcome: 'else', to: node.else },
    ];
  }
  if (node.kind === 'choice') {
    const cases = node.cases.map(({ outcome, to }) => ({ outcome, to }));
    return [...cases, { outcome: 'else', to: node.else }];
  }
  if (node.kind === 'goal') {
    return [
      { outcome: 'reached', to: node.next },
      { outcome: 'not reached', to: node.otherwise === 'end' ? null : node.next },
    ];
  }
  if (node.kind === 'split') {
    const arms = node.arms.map(({ key, to }) => ({ outcome: armOutcome(key), to }));
    const isHeldOut = node.split.terms.holdoutBps > 0;
    return isHeldOut ? [...arms, { outcome: HOLDOUT, to: node.next }] : arms;
  }
  const isLast = node.kind === 'end' || node.kind === 'move';
  return [{ outcome: 'ran', to: isLast ? null : node.next }];
}

/** What is written down of somebody who goes down the path of an arm. */
export function armOutcome(arm: string): string {
  return arm === HOLDOUT ? HOLDOUT : `arm ${arm}`;
}

/** The split test that people come to at a step. */
export function testAt(node: SequenceNode): SplitTest | undefined {
  return 'split' in node ? node.split : undefined;
}

/** The steps that somebody who comes to `from` may still come to by these ways, that one among them. */
export function stepsFrom(
  nodes: ReadonlyMap<string, SequenceNode>,
  from: string | null,
  ways: (node: SequenceNode) => (string | null)[] = everyWay,
): Set<string> {
  const reached = new Set<string>();
  const open = [from];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    const node = key === null || reached.has(key) ? undefined : nodes.get(key);
    if (!node) continue;
    reached.add(node.key);
    open.push(...ways(node));
  }
  return reached;
}

function everyWay(node: SequenceNode): (string | null)[] {
  return waysOut(node).map(({ to }) => to);
}

export function isAsking(node: SequenceNode): node is AskingNode {
  return node.kind === 'branch' || node.kind === 'choice' || node.kind === 'goal' || node.kind === 'split';
}

export function isMail(node: SequenceNode): node is EmailNode {
  return node.kind === 'email' || node.kind === 'offer';
}

/** All triggers that end the sequence. */
export function exitsOf({ exitOn, exits = [] }: SequenceDefinition): Trigger[] {
  return [...exitOn.map((product): Trigger => ({ kind: 'purchased', product })), ...exits];
}
