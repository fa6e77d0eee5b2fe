import { z } from 'zod';
import { broadcastOfferSchema } from '../../broadcasts/broadcast-offer.js';
import { broadcastChange, resendBody, startBody } from '../../broadcasts/broadcasts.schemas.js';
import { splitSchema, subjectSchema } from '../../broadcasts/split.js';
import { conditionSchema, type Condition } from '../../segments/condition.js';
import { tagName } from '../../subscribers/subscribers.schemas.js';
import { key } from '../schemas/schema-parts.js';
import { strict } from '../../values/option-parts.js';

/** A day is its midnight in UTC. */
export const startText = z.union([z.iso.datetime({ offset: true }), z.iso.date()], {
  error: 'use a date such as 2026-03-02, or an instant such as 2026-03-02T09:00:00Z',
});

const { atLocal, timezone, fallbackZone, ifPassed, spreadMinutes } = startBody.unwrap().shape;
const tagNames = z.array(tagName).min(1, 'name at least one tag, or leave this out').max(50).optional();
const segmentKeys = z.array(key).min(1, 'name at least one segment, or leave this out').max(20).optional();

/**
 * One mail to everybody who may be written to when it begins and belongs to its audience, as the audience of a real one
 * says it; without any for everybody. Who joins later does not get it.
 */
export const virtualBroadcast = strict({
  key,
  email: z.string().trim().min(1).max(200),
  subject: subjectSchema.optional(),
  offer: broadcastOfferSchema.optional(),
  /** When it is due, or by whose clock; as the API has them. */
  at: startText.optional(),
  ...{ atLocal, timezone, fallbackZone, ifPassed, spreadMinutes },
  /** When the owner starts it: the beginning of the simulation when left out, of one that is sent once more the time `at`. */
  startedAt: startText.optional(),
  priority: broadcastChange.shape.priority,
  expiresAt: startText.optional(),
  tags: strict({ any: tagNames, all: tagNames, none: tagNames }).optional(),
  segments: strict({ any: segmentKeys, none: segmentKeys }).optional(),
  funnel: key.optional(),
  split: splitSchema.optional(),
  /** The key of a broadcast before it, whose mail it sends once more in other words. */
  resendOf: key.optional(),
  unless: resendBody.shape.unless.unwrap().optional(),
});

export type VirtualBroadcast = z.infer<typeof virtualBroadcast>;

const at = startText;
/** What the owner does about a broadcast that they have started, as the buttons of its page do it. */
export const ownerAct = z.union([
  strict({ pauses: key, at }),
  strict({ resumes: key, at }),
  strict({ cancels: key, at }),
]);

export type OwnerAct = z.infer<typeof ownerAct>;

/** The broadcast it is about, and what is done. */
export function actOf(act: OwnerAct): { key: string; action: 'pause' | 'resume' | 'cancel' } {
  if ('pauses' in act) return { key: act.pauses, action: 'pause' };
  return 'resumes' in act ? { key: act.resumes, action: 'resume' } : { key: act.cancels, action: 'cancel' };
}

/** Named sets of people, as the API has their conditions; mails of broadcasts go by the keys that those have here. */
export const virtualSegments = z.record(key, z.unknown()).default({});

/**
 * The conditions of the segments, with each key of a broadcast in place of the id that the condition's own schema wants,
 * its number among them. Every problem is told with its place.
 */
export function readSegments(
  segments: Readonly<Record<string, unknown>>,
  broadcasts: readonly { key: string }[],
): { conditions: Record<string, Condition>; problems: { path: PropertyKey[]; message: string }[] } {
  const problems: { path: PropertyKey[]; message: string }[] = [];
  const conditions: Record<string, Condition> = {};
  for (const [name, given] of Object.entries(segments)) {
    const unknown: { path: PropertyKey[]; message: string }[] = [];
    const numbered = withNumbers(given, ['segments', name], (broadcast, path) => {
      const place = broadcasts.findIndex((one) => one.key === broadcast);
      const keys = broadcasts.map((one) => one.key).join(', ');
      if (place < 0) unknown.push({ path, message: `no broadcast here has this key; there are: ${keys}` });
      return String(place + 1);
    });
    problems.push(...unknown);
    if (unknown.length > 0) continue;
    const read = conditionSchema.safeParse(numbered);
    if (read.success) conditions[name] = read.data;
    else
      problems.push(
        ...read.error.issues.map(({ path, message }) => ({ path: ['segments', name, ...path], message })),
      );
  }
  return { conditions, problems };
}

/** No tree of conditions that its schema takes is as deep. */
const DEEPEST = 40;

function withNumbers(
  value: unknown,
  path: PropertyKey[],
  numberOf: (broadcast: string, path: PropertyKey[]) => string,
): unknown {
  if (typeof value !== 'object' || value === null || path.length > DEEPEST) return value;
  if (Array.isArray(value))
    return value.map((one: unknown, place) => withNumbers(one, [...path, place], numberOf));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]: [string, unknown]) => [
      name,
      name === 'broadcast' && typeof inner === 'string'
        ? numberOf(inner, [...path, name])
        : withNumbers(inner, [...path, name], numberOf),
    ]),
  );
}
