import { BOUGHT } from '../../subscribers/tag.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import {
  fieldHolds,
  leafKey,
  sameTrigger,
  type FieldTrigger,
  type FieldValue,
  type MailTrigger,
  type Trigger,
} from '../steps/condition.js';
import { exitsOf, isMail, stepsFrom, type GoalNode, type SequenceDefinition } from '../steps/definition.js';
import { passesOverOwners } from '../offers/owned-offer.js';
import { offersOf, type PreparedSequence } from '../steps/prepared.js';
import { dueAt } from '../steps/due-at.js';

/** What something that happens to a person means for their place in a sequence. */
type Reaction = { kind: 'none' } | { kind: 'exit'; reason: string } | { kind: 'jump'; goal: GoalNode };

/** Where somebody stands in a sequence. */
export interface Place {
  id: string;
  versionId: string;
  /** Null: the sequence is over for them. No goal lies ahead, but what ends it still stops mails of it that wait. */
  stepKey: string | null;
  timeZone: string | null;
}

export type FieldsOf = Readonly<Record<string, FieldValue | null>>;

/** Enrollments that go to what follows a goal. */
export interface Jump {
  ids: string[];
  goal: string;
  /** Null: the sequence is over. */
  to: string | null;
  nextAt: Date | null;
}

/** Of each person, the enrollments whose steps have made something happen; null where that was not written down. */
export type Causes = ReadonlyMap<string, readonly (string | null)[]>;

/** A sequence that is over hears of what another has done, not of its own steps: its last mails would never be sent. */
export function isToldOf(enrollmentId: string, causes: readonly (string | null)[] | undefined): boolean {
  return causes === undefined || causes.some((cause) => cause !== null && cause !== enrollmentId);
}

/** What a trigger means for all places of the people it happened to. `byAnother`: as `reactionTo` says. */
export function reactionsTo(
  places: readonly Place[],
  versions: ReadonlyMap<string, { sequence: PreparedSequence }>,
  trigger: Trigger,
  { now, byAnother = false }: { now: Date; byAnother?: boolean },
): { exits: string[]; reason: string; jumps: Jump[] } {
  const exits: string[] = [];
  let reason = '';
  const jumps = new Map<string, Jump>();
  for (const { id, versionId, stepKey, timeZone } of places) {
    const sequence = versions.get(versionId)?.sequence;
    if (!sequence) continue;
    const reaction = reactionTo(sequence, stepKey, trigger, byAnother);
    if (reaction.kind === 'exit') {
      exits.push(id);
      reason = reaction.reason;
    } else if (reaction.kind === 'jump') {
      const { key: goal, next: to } = reaction.goal;
      const name = `${versionId} ${goal} ${timeZone ?? ''}`;
      const zone = timeZoneOr(timeZone, sequence.fallbackZone).zone;
      const nextAt = to === null ? null : dueAt(sequence, to, { now, timeZone: zone });
      const jump = jumps.get(name) ?? { ids: [], goal, to, nextAt };
      jump.ids.push(id);
      jumps.set(name, jump);
    }
  }
  return { exits, reason, jumps: [...jumps.values()] };
}

/**
 * A goal that lies ahead goes before an exit; one that is behind the person means nothing. What was done `byAnother` ends
 * what leads to the goal: what follows it is for who has reached it.
 */
function reactionTo(
  sequence: PreparedSequence,
  stepKey: string | null,
  trigger: Trigger,
  byAnother = false,
): Reaction {
  for (const node of sequence.definition.nodes) {
    if (node.kind !== 'goal' || !node.triggers.some((one) => sameTrigger(one, trigger))) continue;
    if (!isAhead(sequence, stepKey, node.key)) continue;
    return byAnother ? { kind: 'exit', reason: triggerText(trigger) } : { kind: 'jump', goal: node };
  }
  const exits = exitsOf(sequence.definition).some((one) => sameTrigger(one, trigger));
  return exits ? { kind: 'exit', reason: triggerText(trigger) } : { kind: 'none' };
}

/** What people own by what has happened; null for what gives them nothing. */
export function productGained(trigger: Trigger): string | null {
  if (trigger.kind === 'purchased') return trigger.product;
  // As the owner marks who has bought elsewhere.
  if (trigger.kind === 'tag' && trigger.tag.startsWith(BOUGHT)) return trigger.tag.slice(BOUGHT.length);
  return trigger.kind === 'member' && trigger.state === 'active' ? trigger.product : null;
}

/** The steps whose mails offer the product and are not for who owns it, at each place. `productOf`: what an offer sells. */
export function pitchesTo<V extends { sequence: PreparedSequence }>(
  places: readonly Place[],
  versions: ReadonlyMap<string, V>,
  product: string,
  productOf: (slug: string, version: V) => string | undefined,
): { id: string; step: string }[] {
  return places.flatMap(({ id, versionId }) => {
    const version = versions.get(versionId);
    const mails = version?.sequence.definition.nodes.filter(isMail) ?? [];
    return mails
      .filter((node) => version && passesOverOwners(node, product, version.sequence))
      .filter((node) => version && offersOf(node).some((slug) => productOf(slug, version) === product))
      .map(({ key }) => ({ id, step: key }));
  });
}

/** As it stands in `exit_reason`. */
export function triggerText(trigger: Trigger): string {
  switch (trigger.kind) {
    case 'purchased':
    case 'refunded':
      return `${trigger.kind} ${trigger.product}`;
    case 'untagged':
      return `untagged ${trigger.tag}`;
    case 'list':
      return `joined list ${trigger.list}`;
    case 'unlisted':
      return `left list ${trigger.list}`;
    case 'member':
      return `member ${trigger.product} ${trigger.state}`;
    case 'affiliate':
      return `affiliate ${trigger.whose}`;
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
function isAhead({ nodes }: PreparedSequence, from: string | null, goal: string): boolean {
  return stepsFrom(nodes, from).has(goal);
}

/** The values of fields that the place's version listens for. */
export function listenedFields(
  { versionId }: Place,
  versions: ReadonlyMap<string, { sequence: PreparedSequence }>,
): FieldTrigger[] {
  const definition = versions.get(versionId)?.sequence.definition;
  return definition === undefined ? [] : fieldTriggersOf(definition);
}

/**
 * What a change of fields means for the places of its people. What held `before` is no news: it ends nothing and takes
 * nobody to a goal. Each place once: the first of several values is the reason that means something where they stand.
 */
export function metByFields<P extends Place>(
  places: readonly P[],
  versions: ReadonlyMap<string, { sequence: PreparedSequence }>,
  fieldsOf: (place: P) => { before: FieldsOf; after: FieldsOf },
): { trigger: FieldTrigger; places: P[] }[] {
  const met = new Map<string, { trigger: FieldTrigger; places: P[] }>();
  for (const place of places) {
    const sequence = versions.get(place.versionId)?.sequence;
    if (!sequence) continue;
    const { before, after } = fieldsOf(place);
    const trigger = listenedFields(place, versions).find(
      (one) => cameToHold(one, before, after) && reactionTo(sequence, place.stepKey, one).kind !== 'none',
    );
    if (trigger === undefined) continue;
    const group = met.get(leafKey(trigger)) ?? { trigger, places: [] };
    group.places.push(place);
    met.set(leafKey(trigger), group);
  }
  return [...met.values()];
}

/** A field came to hold what was asked, where it did not before. */
export function cameToHold(trigger: FieldTrigger, before: FieldsOf, after: FieldsOf): boolean {
  const holdsBy = (fields: FieldsOf): boolean => fieldHolds(trigger, fields[trigger.field], null);
  return holdsBy(after) && !holdsBy(before);
}

/** Values of fields that end the sequence or take people to a goal. */
function fieldTriggersOf(definition: SequenceDefinition): FieldTrigger[] {
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
