import { leafKey, leavesOf, type Leaf } from './condition.js';
import {
  exitsOf,
  isAsking,
  isMail,
  stepsFrom,
  waysOut,
  type DateSource,
  type SequenceDefinition,
  type EmailNode,
  type SequenceNode,
  type SplitTest,
  type TimedNode,
} from './definition.js';
import { behindHad, type Had } from './had-steps.js';
import { parseMoment, type Moment } from './moment.js';
import type { StepTiming } from './schedule.js';

/** For subscribers whose zone is not known, unless the sequence names another. */
export const FALLBACK_ZONE = 'UTC';

/** What has to be known about a person before a step can run. */
export type Need =
  | Leaf
  | { readonly kind: 'date'; readonly field: string }
  /** When the membership by the product ends or has ended. */
  | { readonly kind: 'memberEnd'; readonly product: string }
  | { readonly kind: 'arm'; readonly split: SplitTest }
  /** Until when an earlier mail of the enrollment promised the price of the offer. */
  | { readonly kind: 'promise'; readonly offer: string }
  /** The product that the offer sells, where they own it. */
  | { readonly kind: 'owned'; readonly offer: string };

/** A sequence prepared for many people: the timing of each step is built once, as `nextDueAt` keeps its answers by it. */
export interface PreparedSequence {
  definition: SequenceDefinition;
  nodes: ReadonlyMap<string, SequenceNode>;
  timings: ReadonlyMap<string, StepTiming>;
  expiries: ReadonlyMap<string, Moment>;
  /** Per step with a test, its mail and timing by arm. */
  arms: ReadonlyMap<string, ReadonlyMap<string, { node: EmailNode; timing: StepTiming }>>;
  /** Per step, what those need who are due there: its own questions and those it may meet in the same turn. */
  needs: ReadonlyMap<string, readonly Need[]>;
  /** Per step, those whose needs are among its own. Steps behind them may run in the same turn too, as when their time is past. */
  foreseen: ReadonlyMap<string, ReadonlySet<string>>;
  /** Per product, the steps at or behind one that waits for the end of its membership. */
  renewals: ReadonlyMap<string, ReadonlySet<string>>;
  fallbackZone: string;
}

export function prepareSequence(definition: SequenceDefinition): PreparedSequence {
  const nodes = new Map(definition.nodes.map((node) => [node.key, node]));
  const timings = new Map<string, StepTiming>();
  const expiries = new Map<string, Moment>();
  for (const node of definition.nodes) {
    if (isAsking(node)) continue;
    timings.set(node.key, timingOf(node, definition));
    if (node.expires !== undefined) expiries.set(node.key, parseMoment(node.expires));
  }
  const needs = new Map<string, readonly Need[]>();
  const foreseen = new Map<string, ReadonlySet<string>>();
  for (const { key } of definition.nodes) {
    const at = needsAt(key, nodes, null);
    needs.set(key, at.needs);
    foreseen.set(key, at.foreseen);
  }
  const arms = new Map(
    definition.nodes.filter(isMail).flatMap((node) => {
      const own = armsOf(node, definition);
      return own === null ? [] : [[node.key, own] as const];
    }),
  );
  const fallbackZone = definition.fallbackZone ?? FALLBACK_ZONE;
  return {
    definition,
    nodes,
    timings,
    expiries,
    arms,
    needs,
    foreseen,
    renewals: renewalsIn(nodes),
    fallbackZone,
  };
}

function renewalsIn(nodes: ReadonlyMap<string, SequenceNode>): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const node of nodes.values()) {
    if (isAsking(node) || node.untilField === undefined || !('member' in node.untilField)) continue;
    const { member } = node.untilField;
    found.set(member, new Set([...(found.get(member) ?? []), ...stepsFrom(nodes, node.key)]));
  }
  return found;
}

function armsOf(
  node: EmailNode,
  definition: SequenceDefinition,
): Map<string, { node: EmailNode; timing: StepTiming }> | null {
  if (node.split === undefined) return null;
  return new Map(
    node.split.arms.map(({ key, ...own }) => {
      const mail: EmailNode = { ...node, ...own };
      return [key, { node: mail, timing: timingOf(mail, definition) }];
    }),
  );
}

/** As `needKey`, of somebody's place in a test. */
export function armKey(experiment: string): string {
  return `arm ${experiment}`;
}

/** As `needKey`, of what was promised about an offer. */
export function promiseKey(offer: string): string {
  return `promise ${offer}`;
}

/** As `needKey`, of whether what the offer sells is owned. */
export function ownedKey(offer: string): string {
  return `owned ${offer}`;
}

export function needKey(need: Need): string {
  if (need.kind === 'arm') return armKey(need.split.experiment);
  if (need.kind === 'promise') return promiseKey(need.offer);
  if (need.kind === 'owned') return ownedKey(need.offer);
  if (need.kind === 'memberEnd') return `member end ${need.product}`;
  return need.kind === 'date' ? `date ${need.field}` : leafKey(need);
}

/** The conditions a step asks about. */
export function questionsOf(node: SequenceNode): Leaf[] {
  if (node.kind === 'branch') return [{ kind: 'clicked', step: node.clicked }];
  if (node.kind === 'choice') return node.cases.flatMap(({ when }) => leavesOf(when));
  return node.kind === 'goal' ? node.triggers : [];
}

/** The tags by which people begin the sequence, leave it, come to a goal or are told apart at a step. */
export function tagsAskedBy(definition: SequenceDefinition): string[] {
  const asked = askedBy(definition);
  return [...new Set(asked.flatMap((leaf) => (leaf.kind === 'tag' ? [leaf.tag] : [])))];
}

/** As `tagsAskedBy`, the lists. */
export function listsAskedBy(definition: SequenceDefinition): string[] {
  return [
    ...new Set(
      askedBy(definition).flatMap((leaf) =>
        leaf.kind === 'list' || leaf.kind === 'unlisted' ? [leaf.list] : [],
      ),
    ),
  ];
}

function askedBy(definition: SequenceDefinition): Leaf[] {
  return [...exitsOf(definition), ...(definition.enterOn ?? []), ...definition.nodes.flatMap(questionsOf)];
}

/** As `tagsAskedBy`, the fields, with those whose date a step waits for. */
export function fieldsAskedBy(definition: SequenceDefinition): string[] {
  const asked = askedBy(definition);
  const dates = definition.nodes.flatMap((node) =>
    'untilField' in node && node.untilField !== undefined && 'field' in node.untilField
      ? [node.untilField.field]
      : [],
  );
  return [...new Set([...asked.flatMap((leaf) => (leaf.kind === 'field' ? [leaf.field] : [])), ...dates])];
}

/** When a step runs, with what the sequence says for all of its mails. */
export function timingOf(
  node: TimedNode,
  { window, quietHours }: Pick<SequenceDefinition, 'window' | 'quietHours'>,
): StepTiming {
  const delay = node.delay ?? undefined;
  const at = node.at ?? undefined;
  const until = node.until === undefined ? undefined : parseMoment(node.until);
  // Somebody waits for a step without delay, so it goes at any hour; the window is for mails nobody expects.
  const timed =
    delay !== undefined || at !== undefined || until !== undefined || node.untilField !== undefined;
  const isForMail = timed && (isMail(node) || node.kind === 'wait');
  return {
    delay,
    at,
    ...(node.onDays === undefined ? {} : { onDays: node.onDays }),
    window: node.window ?? (isForMail ? (window ?? undefined) : undefined),
    ...given('quietHours', node.quietHours ?? (isForMail ? quietHours : undefined)),
    ...given('until', until),
  };
}

function given<K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [name]: value } as Partial<Record<K, V>>);
}

/** A step whose time is not known before something about the person is. */
export function asksFirst(node: SequenceNode): boolean {
  if (isAsking(node) || node.untilField !== undefined) return true;
  return isMail(node) && node.split?.terms.isTimed === true;
}

/** A step that needs something about the person, to know its time or what it does. */
export function asksAnything(node: SequenceNode): boolean {
  return asksFirst(node) || ownNeeds(node).length > 0;
}

/** Whether the step may run in the turn of the one before it: a date may be past, and today may be one of its days. */
function isInstant(node: SequenceNode): boolean {
  if (isAsking(node) || asksFirst(node)) return true;
  return node.at === null && (node.delay === null || node.delay.value === 0);
}

/** What those need who are due at a step, and the steps that it is known for. */
interface TurnNeeds {
  needs: readonly Need[];
  foreseen: ReadonlySet<string>;
}

/**
 * What those who are due at `start` may be asked in this turn, up to the first steps that have a time of their own. Steps that
 * they have had are no such: whoever is behind them comes to the next one at once.
 */
export function needsFrom(sequence: PreparedSequence, start: string, had: Had | null): TurnNeeds {
  if (had !== null) return needsAt(start, sequence.nodes, had);
  return { needs: sequence.needs.get(start) ?? [], foreseen: sequence.foreseen.get(start) ?? new Set() };
}

function needsAt(start: string, nodes: ReadonlyMap<string, SequenceNode>, had: Had | null): TurnNeeds {
  const needs = new Map<string, Need>();
  const foreseen = new Set<string>();
  const seen = new Set<string>();
  // A mail that is planned in this very turn has been neither opened nor clicked: nothing to look up.
  const visit = (from: string | null, justSent: ReadonlySet<string>): void => {
    const key = behindHad(nodes, from, had);
    const node = key === null || seen.has(key) ? undefined : nodes.get(key);
    if (!node) return;
    seen.add(node.key);
    if (key !== start && !isInstant(node)) return;
    foreseen.add(node.key);
    for (const need of ownNeeds(node)) {
      const isNews = (need.kind === 'clicked' || need.kind === 'opened') && justSent.has(need.step);
      if (isNews) continue;
      const asked = key === start ? need : inTurn(need);
      needs.set(needKey(asked), asked);
    }
    const sent = isMail(node) ? new Set([...justSent, node.key]) : justSent;
    for (const { to } of waysOut(node)) visit(to, sent);
  };
  visit(start, new Set());
  return { needs: [...needs.values()], foreseen };
}

/** A question of a step that is come to in the turn of one before it: that one's turn is since when its events count. */
export function inTurn<N extends Need>(need: N): N {
  return need.kind === 'event' && need.since === 'step' ? { ...need, since: 'turn' } : need;
}

/** What has to be asked for a date. */
export function dateNeed(source: DateSource): Need {
  return 'field' in source
    ? { kind: 'date', field: source.field }
    : { kind: 'memberEnd', product: source.member };
}

function ownNeeds(node: SequenceNode): Need[] {
  if (node.kind === 'split') return [{ kind: 'arm', split: node.split }];
  if (isAsking(node)) return questionsOf(node);
  const date: Need[] = node.untilField === undefined ? [] : [dateNeed(node.untilField)];
  if (!isMail(node)) return date;
  const arm: Need[] = node.split === undefined ? [] : [{ kind: 'arm', split: node.split }];
  const offers = offersOf(node);
  const promises = offers.map((offer): Need => ({ kind: 'promise', offer }));
  const owned = node.toOwners === 'send' ? [] : offers.map((offer): Need => ({ kind: 'owned', offer }));
  return [...date, ...arm, ...promises, ...owned];
}

/** What the mail of a step offers, by any of its arms. */
export function offersOf({ offer, split }: EmailNode): string[] {
  const all = [offer, ...(split?.arms ?? []).map((arm) => arm.offer)];
  return [...new Set(all.flatMap((one) => (one ? [one.slug] : [])))];
}
