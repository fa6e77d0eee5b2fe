import { z } from 'zod';
import type { SqlCondition } from '../segments/compile.js';
import type { Condition } from '../segments/condition.js';

const MAX_TAGS = 50;

const tags = z
  .array(z.string().trim().min(1).max(100))
  .min(1, 'name at least one tag, or leave this out')
  .max(MAX_TAGS, `at most ${MAX_TAGS} tags`)
  .transform((names) => [...new Set(names)]);

const MAX_SEGMENTS = 20;
const segments = z
  .array(z.string().regex(/^[a-z0-9-]{1,60}$/, 'use the key of a segment'))
  .min(1, 'name at least one segment, or leave this out')
  .max(MAX_SEGMENTS, `at most ${MAX_SEGMENTS} segments`)
  .transform((keys) => [...new Set(keys)]);

/** Nobody should write to everybody because a filter was forgotten, so everybody has to be said. */
const everybody = z.strictObject({ everybody: z.literal(true) });

const some = z
  .strictObject({
    tags: z
      .strictObject({ any: tags.optional(), all: tags.optional(), none: tags.optional() })
      .refine((given) => Object.keys(given).length > 0, 'name tags under any, all or none, or leave tags out')
      .optional(),
    funnel: z
      .string()
      .regex(/^[a-z0-9-]{1,60}$/, 'use the key of a funnel')
      .optional(),
    segments: z
      .strictObject({ any: segments.optional(), none: segments.optional() })
      .refine(
        (given) => Object.keys(given).length > 0,
        'name segments under any or none, or leave segments out',
      )
      .optional(),
  })
  .refine(
    (given) => Object.keys(given).length > 0,
    'say who gets it: { "everybody": true }, tags, segments, or a funnel',
  );

/**
 * Who gets a broadcast, among the active subscribers: everybody, or those who have the tags (`any` of them, `all` of
 * them, `none` of them), have been in the funnel, and belong to any of the segments less those of `none`.
 */
export const audienceSchema = z.union([everybody, some]).meta({
  description:
    '`{"everybody": true}`, or a filter: `{"tags": {"any": [], "all": [], "none": []}, "funnel": "key", "segments": {"any": [], "none": []}}`. All parts of a filter must hold.',
});

export type Audience = z.output<typeof audienceSchema>;

const HAS_TAG = `exists (select 1 from subscriber_tag st where st.subscriber_id = s.id
  and st.tag_id = any (array(select t.id from tag t where t.name = any ($n::text[]))))`;

const HAS_ALL_TAGS = `(select count(*) from subscriber_tag st join tag t on t.id = st.tag_id
  where st.subscriber_id = s.id and t.name = any ($n::text[])) = cardinality($n::text[])`;

const WAS_IN_FUNNEL = `exists (select 1 from enrollment e join sequence q on q.id = e.sequence_id
  where e.subscriber_id = s.id and q.funnel_key = $n)`;

/** The segments an audience names, each once. */
export function segmentsOf(audience: Audience): string[] {
  if ('everybody' in audience) return [];
  return [...new Set([...(audience.segments?.any ?? []), ...(audience.segments?.none ?? [])])];
}

/**
 * Those in any segment and in none of the others, as one tree; null when no segment is named. Throws for a key without
 * conditions: the broadcast has frozen them at its start.
 */
export function segmentCondition(
  audience: Audience,
  conditions: Readonly<Record<string, Condition>>,
): Condition | null {
  if ('everybody' in audience || !audience.segments) return null;
  const named = (key: string): Condition => {
    const condition = conditions[key];
    if (condition) return condition;
    throw new Error(`the segment ${key} of the audience has no conditions`);
  };
  const { any: wanted, none: unwanted } = audience.segments;
  return {
    all: [
      ...(wanted ? [{ any: wanted.map(named) }] : []),
      ...(unwanted ? [{ not: { any: unwanted.map(named) } }] : []),
    ],
  };
}

/** One of the conditions that must all hold. */
interface AudiencePart {
  /** For people, after "somebody who": `has one of the tags “vip”`. */
  words: string;
  /** Over `subscriber s`; `$n` stands for the value. */
  text: string;
  value?: string | string[];
}

/** What `segmentCondition` said, compiled with parameters from a number on. */
export type InSegments = (first: number) => SqlCondition;

function partsOf(audience: Audience): AudiencePart[] {
  const quoted = (names: readonly string[]): string => names.map((name) => `“${name}”`).join(', ');
  const parts: AudiencePart[] = [
    { words: 'is on the list', text: `s.status = 'active'` },
    { words: 'has not asked for a pause', text: `s.paused_until is null` },
  ];
  if ('everybody' in audience) return parts;
  const { any: oneOf, all, none } = audience.tags ?? {};
  if (oneOf) parts.push({ words: `has one of the tags ${quoted(oneOf)}`, text: HAS_TAG, value: oneOf });
  if (all) parts.push({ words: `has all of the tags ${quoted(all)}`, text: HAS_ALL_TAGS, value: all });
  if (none)
    parts.push({ words: `has none of the tags ${quoted(none)}`, text: `not ${HAS_TAG}`, value: none });
  const { funnel } = audience;
  if (funnel !== undefined)
    parts.push({ words: `was in the funnel ${quoted([funnel])}`, text: WAS_IN_FUNNEL, value: funnel });
  return parts;
}

function compilePart({ text, value }: AudiencePart, number: number): SqlCondition {
  if (value === undefined) return { text, parameters: [] };
  return { text: text.replaceAll('$n', `$${number}`), parameters: [value] };
}

/**
 * The audience as a condition whose parameters are numbered from `first`. What was typed is only ever a parameter. Of one
 * that names segments, `inSegments` says who is in them.
 */
export function compileAudience(
  audience: Audience,
  first: number,
  inSegments: InSegments | null = null,
): SqlCondition {
  const conditions = audienceParts(audience, first, inSegments).map(({ condition }) => condition);
  return {
    text: conditions.map(({ text }) => text).join(' and '),
    parameters: conditions.flatMap(({ parameters }) => parameters),
  };
}

/** Each condition of the audience by itself, in words and as SQL; all parameters are numbered on from `first`. */
export function audienceParts(
  audience: Audience,
  first: number,
  inSegments: InSegments | null = null,
): { words: string; condition: SqlCondition }[] {
  let next = first;
  const parts = partsOf(audience).map((part) => {
    const condition = compilePart(part, next);
    next += condition.parameters.length;
    return { words: part.words, condition };
  });
  if (inSegments === null || 'everybody' in audience) return parts;
  const { any: wanted = [], none: unwanted = [] } = audience.segments ?? {};
  const words = [
    ...(wanted.length > 0 ? [`is in one of the segments ${wanted.map((key) => `“${key}”`).join(', ')}`] : []),
    ...(unwanted.length > 0
      ? [`is in none of the segments ${unwanted.map((key) => `“${key}”`).join(', ')}`]
      : []),
  ];
  return [...parts, { words: words.join(' and '), condition: inSegments(next) }];
}
