import { HOLDOUT } from '../../segments/held-out.js';
import type { Assignment } from '../../experiments/experiment-terms.js';
import { addDuration } from '../../values/duration.js';
import type { Money } from '../../values/money.js';
import type { OpenHours } from '../../values/week-hours.js';
import { holds, leavesOf, watchedSteps, wasSo, type FieldValue, type Leaf } from './condition.js';
import {
  armOutcome,
  isAsking,
  isMail,
  waysOut,
  type AskingNode,
  type DateSource,
  type EmailNode,
  type SplitTest,
  type TimedNode,
  type WebhookNode,
  type NotifyNode,
} from './definition.js';
import { dueAt, orExpiry } from './due-at.js';
import { EXIT } from './exit-reasons.js';
import { endOf, fieldMoment } from './moment.js';
import { offerExpiry, promisedBefore } from '../offers/offer-expiry.js';
import { ownedOf } from '../offers/owned-offer.js';
import { behindHad, type Had } from './had-steps.js';
import {
  asksAnything,
  asksFirst,
  inTurn,
  needsFrom,
  questionsOf,
  type PreparedSequence,
} from './prepared.js';
import { dueFrom, nextDueAt, openHours, reopensAt } from './schedule.js';

export interface Sent {
  node: EmailNode;
  /** Until when the offer's price holds; null without an offer or a deadline. */
  offerExpiresAt: Date | null;
  /** What an earlier mail has promised it for, until a time that is still to come; null for nothing. */
  promisedPrice: Money | null;
  /** When the step itself expires: the mail must not go later. */
  expiresAt: Date | null;
  /** In which the mail may go, also when it has to wait for something; null: at any time. */
  hours: OpenHours | null;
}

/** What a step does to the person besides mail. */
type Effect =
  | { kind: 'tag' | 'untag'; tags: readonly string[] }
  | { kind: 'set'; fields: Readonly<Record<string, FieldValue | null>> }
  | { kind: 'enter'; sequence: string }
  | { kind: 'webhook'; node: WebhookNode }
  | { kind: 'notify'; node: NotifyNode }
  | { kind: 'assign'; assignment: Assignment };

interface Done {
  sent: Sent[];
  effects: Effect[];
  /** Steps that are no mails, or whose mail was passed over, with what came of each. */
  passed: { key: string; outcome: string }[];
}

/** When somebody came to a step: when this turn was due, as it stands, at a time; null: they come when they are due there. */
export type CameAt = 'turn' | 'same' | Date | null;

export type Progress = Done &
  (
    | { kind: 'completed' }
    | { kind: 'exited'; reason: string }
    | {
        kind: 'waiting';
        stepKey: string;
        nextAt: Date | 'deadline';
        /** When the wait for something to happen is over; null when the step only waits for its time. */
        deadline: Date | 'same' | null;
        cameAt: CameAt;
        /** The step came up too late for its hours: `nextAt` is their next opening. */
        isPutOff: boolean;
        /** Steps whose mails' opens and clicks end the wait. */
        watches: string[];
        /** The step whose hours the mails of the next turn keep, which goes on where this one ends; null: of none. */
        hoursOf: string | null;
      }
  );

/** `until` is null without an end, and past when it is over; `price` is of a promise with an end that is still to come. */
export interface Promised {
  until: Date | null;
  price: Money | null;
  /** Where the price ends sooner than another promise: of mails that were written before they could know of each other. */
  priceUntil?: Date | null;
}

export interface Facts {
  now: Date;
  timeZone: string;
  /** Whether something holds for the person; what is not known does not. */
  answer(this: void, leaf: Leaf): boolean;
  /** When the first event came of those since a step was come to; null for none, and for other questions. */
  heardAt(this: void, leaf: Leaf): Date | null;
  /** What a field of the subscriber holds, or when a membership ends. */
  date(this: void, source: DateSource): unknown;
  /** The person's place in the test of a step; null for a test nobody has opened, which gives the control. */
  arm(this: void, experiment: string): Assignment | null;
  /** What earlier mails have promised about an offer; null where none did. */
  promise(this: void, offer: string): Promised | null;
  /** The product that an offer sells, where the person owns it; null for who does not. */
  owned(this: void, offer: string): string | null;
  /** How a step that waits for something stands: not begun, waiting, or its time is over. `anew`: they come to it now, as the mail before it goes now. */
  wait: 'new' | 'anew' | 'pending' | 'over';
  /** The step that the turn before left its hours of; null: they have come here otherwise. */
  hoursOf: string | null;
  /** Steps that were behind the person in an earlier version, with their outcomes: they do not come again. */
  had: Had | null;
}

interface Turn extends Done {
  sequence: PreparedSequence;
  facts: Facts;
  /** The steps whose questions have been looked up for this turn. */
  foreseen: ReadonlySet<string>;
  /** The step that is due, or was in the turn before that this one goes on from. */
  hoursOf: string;
  /** Its hours, which mails keep that follow it at once and have none of their own. */
  hours: OpenHours | null;
  /** When what ended a wait in this turn came, where that is known: a wait behind it is for what came later. */
  endedAt: Date | null;
}

/** Where the turn goes after a step. */
type Next = { to: string | null } | { stop: Progress };

/** Runs the step that is due, and those after it that are due at the same moment. */
export function advance(sequence: PreparedSequence, stepKey: string, facts: Facts): Progress {
  const own = openHours(sequence.timings.get(stepKey) ?? {}, facts.timeZone);
  const hoursOf = own === null ? (facts.hoursOf ?? stepKey) : stepKey;
  const hours = own ?? openHours(sequence.timings.get(hoursOf) ?? {}, facts.timeZone);
  const { foreseen } = needsFrom(sequence, stepKey, facts.had);
  const done: Done = { sent: [], effects: [], passed: [] };
  const turn: Turn = { sequence, facts, foreseen, hoursOf, hours, endedAt: null, ...done };
  let key: string | null = behindHad(sequence.nodes, stepKey, facts.had);
  if (key !== stepKey || facts.wait === 'anew') {
    const stop = arrive(turn, key);
    if (stop !== null) return stop;
  }
  // A step can be met once only: the list of nodes bounds the loop even if a definition were circular.
  for (let met = 0; key !== null && met <= sequence.nodes.size; met++) {
    const node = sequence.nodes.get(key);
    if (!node) break;
    const isDue = key === stepKey;
    const wait = isDue && facts.wait !== 'anew' ? facts.wait : 'new';
    const next: Next = isAsking(node) ? ask(turn, node, { wait, isDue }) : run(turn, node, { wait, isDue });
    if ('stop' in next) return next.stop;
    key = behindHad(sequence.nodes, next.to, facts.had);
    const stop = arrive(turn, key);
    if (stop !== null) return stop;
  }
  return { kind: 'completed', ...doneBy(turn) };
}

/** Null when the step at `key` runs in this turn. */
function arrive(turn: Turn, key: string | null): Progress | null {
  const { sequence, facts, effects } = turn;
  const node = key === null ? undefined : sequence.nodes.get(key);
  if (!node) return null;
  const changed = effects.some(({ kind }) => kind === 'tag' || kind === 'untag' || kind === 'set');
  const nextAt = dueAt(sequence, node.key, facts);
  // Of a step behind one whose own time is now as well nothing has been looked up; and what the database said before this
  // turn's changes is no answer any more. The step gets a turn of its own.
  const isUnforeseen = !turn.foreseen.has(node.key);
  const isUnknown = (changed && asksFirst(node)) || (isUnforeseen && asksAnything(node));
  if (nextAt > facts.now) return waiting(turn, node.key, { nextAt });
  const rest = { nextAt, hoursOf: turn.hours && turn.hoursOf };
  if (turn.endedAt !== null && isAsking(node) && questionsOf(node).some(isSinceStep))
    return waiting(turn, node.key, { ...rest, cameAt: turn.endedAt });
  return isUnknown ? waiting(turn, node.key, { ...rest, cameAt: 'turn' }) : null;
}

function waiting(
  turn: Turn,
  stepKey: string,
  {
    nextAt,
    deadline = null,
    cameAt = null,
    watches = [],
    isPutOff = false,
    hoursOf = null,
  }: {
    nextAt: Date | 'deadline';
    deadline?: Date | 'same' | null;
    cameAt?: CameAt;
    watches?: string[];
    isPutOff?: boolean;
    hoursOf?: string | null;
  },
): Progress {
  const place = { stepKey, nextAt, deadline, cameAt, isPutOff, watches, hoursOf };
  return { kind: 'waiting', ...doneBy(turn), ...place };
}

function ask(turn: Turn, node: AskingNode, { wait, isDue }: { wait: Facts['wait']; isDue: boolean }): Next {
  if (node.kind === 'split') {
    const outcome = armOutcome(draw(turn, node.split));
    turn.passed.push({ key: node.key, outcome });
    return { to: waysOut(node).find((way) => way.outcome === outcome)?.to ?? node.next };
  }
  const answer = (leaf: Leaf): boolean => answerIn(turn, isDue ? leaf : inTurn(leaf));
  if (node.kind === 'goal') {
    const reached = node.triggers.some(answer);
    turn.passed.push({ key: node.key, outcome: reached ? 'reached' : 'not reached' });
    return { to: reached || node.otherwise === 'continue' ? node.next : null };
  }
  const cases =
    node.kind === 'choice'
      ? node.cases
      : [{ when: { kind: 'clicked' as const, step: node.clicked }, outcome: 'then', to: node.then }];
  const found = cases.find(({ when }) => holds(when, answer));
  if (found === undefined && node.within !== null && wait !== 'over') {
    const watches = watchedSteps(cases.map(({ when }) => when));
    if (wait === 'pending')
      return {
        stop: waiting(turn, node.key, { nextAt: 'deadline', deadline: 'same', cameAt: 'same', watches }),
      };
    const deadline = addDuration(turn.facts.now, node.within, turn.facts.timeZone);
    return { stop: waiting(turn, node.key, { nextAt: deadline, deadline, cameAt: 'turn', watches }) };
  }
  const heard = found === undefined ? [] : leavesOf(found.when).filter(isSinceStep);
  for (const leaf of heard)
    turn.endedAt = later(turn.endedAt, turn.facts.heardAt(isDue ? leaf : inTurn(leaf)));
  turn.passed.push({ key: node.key, outcome: found?.outcome ?? 'else' });
  return { to: found ? found.to : node.else };
}

function isSinceStep(leaf: Leaf): boolean {
  return leaf.kind === 'event' && leaf.since !== undefined;
}

function later(one: Date | null, other: Date | null): Date | null {
  return one === null || (other !== null && other > one) ? other : one;
}

/** What this very turn has done is not in the database yet. */
function answerIn({ passed, sent, facts }: Turn, leaf: Leaf): boolean {
  if (leaf.kind !== 'step' && leaf.kind !== 'split') return facts.answer(leaf);
  if (leaf.kind === 'split' && leaf.sequence !== undefined) return facts.answer(leaf);
  const mail = sent.find(({ node }) => node.key === leaf.step)?.node;
  const now = passed.find(({ key }) => key === leaf.step);
  if (leaf.kind === 'split') {
    if (mail?.split !== undefined) return armIn(facts, mail.split) === leaf.arm;
    return now === undefined ? facts.answer(leaf) : now.outcome === armOutcome(leaf.arm);
  }
  if (mail !== undefined) return leaf.was === 'ran';
  return now === undefined ? facts.answer(leaf) : wasSo(now.outcome, leaf.was);
}

/** `isDue`: the node's own time has come, and may have passed; it was not met on the way. */
function run(turn: Turn, node: TimedNode, { wait, isDue }: { wait: Facts['wait']; isDue: boolean }): Next {
  const { facts, sequence, passed, effects } = turn;
  const expiry = sequence.expiries.get(node.key);
  const expiresAt = expiry === undefined ? null : endOf(expiry, facts.timeZone);
  if (expiresAt !== null && expiresAt <= facts.now) {
    passed.push({ key: node.key, outcome: `expired ${node.expires ?? ''}` });
    return { to: node.next };
  }
  if (node.untilField !== undefined) {
    const dated = waitForDate(turn, node, node.untilField, { wait, expiresAt });
    if (dated !== null) return dated;
  } else if (isDue && !asksFirst(node)) {
    const nextAt = reopensAt(sequence.timings.get(node.key) ?? {}, facts.now, facts.timeZone);
    if (nextAt !== null)
      return {
        stop: waiting(turn, node.key, {
          nextAt: orExpiry(nextAt, { expiresAt, now: facts.now }),
          isPutOff: true,
        }),
      };
  }
  if (isMail(node)) return send(turn, node, { wait, expiresAt });
  passed.push({ key: node.key, outcome: 'ran' });
  switch (node.kind) {
    case 'tag':
    case 'untag':
      effects.push({ kind: node.kind, tags: node.tags });
      break;
    case 'set':
      effects.push({ kind: 'set', fields: node.fields });
      break;
    case 'webhook':
      effects.push({ kind: 'webhook', node });
      break;
    case 'notify':
      effects.push({ kind: 'notify', node });
      break;
    case 'move':
      effects.push({ kind: 'enter', sequence: node.sequence });
      return { stop: { kind: 'exited', reason: EXIT.moved(node.sequence), ...doneBy(turn) } };
    case 'end':
      return { stop: { kind: 'completed', ...doneBy(turn) } };
    case 'wait':
      break;
    default:
      return node satisfies never;
  }
  return { to: node.next };
}

/** The person's arm in a test, or `HOLDOUT`; it is written down when they are drawn. */
function draw({ facts, effects }: Turn, test: SplitTest): string {
  const assignment = facts.arm(test.experiment);
  if (assignment?.isNew === true) effects.push({ kind: 'assign', assignment });
  return armIn(facts, test);
}

function armIn(facts: Facts, { experiment, terms }: SplitTest): string {
  return facts.arm(experiment)?.arm ?? terms.arms[0]?.key ?? '';
}

/** A step with a test sends what the person's arm says, at the arm's time, and nothing to who is held out. */
function send(
  turn: Turn,
  node: EmailNode,
  { wait, expiresAt }: { wait: Facts['wait']; expiresAt: Date | null },
): Next {
  const { facts, sequence } = turn;
  const owned = ownedOf(node, sequence, facts.owned);
  if (owned !== undefined) {
    turn.passed.push({ key: node.key, outcome: `already owns ${owned}` });
    return { to: node.next };
  }
  let mail = node;
  let timing = sequence.timings.get(node.key) ?? {};
  if (node.split !== undefined) {
    const arm = draw(turn, node.split);
    const own = sequence.arms.get(node.key)?.get(arm);
    timing = own?.timing ?? timing;
    if (node.split.terms.isTimed && wait === 'pending')
      return { stop: waiting(turn, node.key, { nextAt: 'deadline', deadline: 'same' }) };
    if (node.split.terms.isTimed) {
      const isPutOff = wait === 'over';
      const nextAt = isPutOff
        ? reopensAt(timing, facts.now, facts.timeZone)
        : dueFrom(timing, facts.now, facts.timeZone);
      if (nextAt !== null && nextAt > facts.now)
        return { stop: timed(turn, node, { nextAt, expiresAt, isPutOff }) };
    }
    if (arm === HOLDOUT) {
      turn.passed.push({ key: node.key, outcome: HOLDOUT });
      return { to: node.next };
    }
    mail = own?.node ?? node;
  }
  const hours = openHours(timing, facts.timeZone) ?? turn.hours;
  const promised = promisedBefore(turn.sent, mail, facts);
  const offerExpiresAt = offerExpiry(promised?.until ?? null, mail, facts);
  const isPromise = offerExpiresAt !== null && offerExpiresAt > facts.now;
  // A mail that waits, for the cap or the reader's pause, must not come when its price has ended.
  const endsAt = isPromise && (expiresAt === null || offerExpiresAt < expiresAt) ? offerExpiresAt : expiresAt;
  const promisedPrice = promised?.price ?? null;
  turn.sent.push({ node: mail, offerExpiresAt, promisedPrice, expiresAt: endsAt, hours });
  return { to: node.next };
}

/** Null when the date has come. An empty field passes the step over; a date that is long past is as good as today. */
function waitForDate(
  turn: Turn,
  node: TimedNode,
  { offset, sign, ...source }: NonNullable<TimedNode['untilField']>,
  { wait, expiresAt }: { wait: Facts['wait']; expiresAt: Date | null },
): Next | null {
  const { facts, sequence } = turn;
  const date = fieldMoment(facts.date(source), { offset, sign }, facts.timeZone);
  if (date === null) {
    const place = 'field' in source ? `in ${source.field}` : `for the end of the membership ${source.member}`;
    turn.passed.push({ key: node.key, outcome: `no date ${place}` });
    return { to: node.next };
  }
  // Versions of before a delay beside a date was refused have both: the delay counts from the date.
  const { at, delay, ...rest } = sequence.timings.get(node.key) ?? {};
  const planned = nextDueAt({ ...rest, at, delay }, date, facts.timeZone);
  const nextAt = planned > facts.now ? planned : reopensAt({ ...rest, at }, facts.now, facts.timeZone);
  if (nextAt === null) return null;
  const isPutOff = wait !== 'new' && planned <= facts.now;
  return { stop: timed(turn, node, { nextAt, expiresAt, isPutOff }) };
}

/** Waits for a time that was found in the step's own turn. */
function timed(
  turn: Turn,
  { key }: TimedNode,
  { nextAt: due, expiresAt, isPutOff }: { nextAt: Date; expiresAt: Date | null; isPutOff: boolean },
): Progress {
  const nextAt = orExpiry(due, { expiresAt, now: turn.facts.now });
  return waiting(turn, key, { nextAt, deadline: nextAt, isPutOff });
}

function doneBy({ sent, effects, passed }: Turn): Done {
  return { sent, effects, passed };
}
