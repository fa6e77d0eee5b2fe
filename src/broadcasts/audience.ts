import { mayBeRead } from '../values/counted-hits.js';
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

/**
 * Those who got the mail of another broadcast and did nothing with it. Made by the product alone, never accepted from
 * outside.
 */
export interface ResendAudience {
  resendOf: string;
  /** Openings and clicks of machines are none. */
  unless: 'opened' | 'clicked';
}

export type Audience = z.output<typeof audienceSchema> | ResendAudience;
type Filter = z.output<typeof some>;

function filterOf(audience: Audience): Filter {
  return 'everybody' in audience || 'resendOf' in audience ? {} : audience;
}

/** They stand for a condition on what was there at a time, or for nothing. */
const TIMED = ['$tagged', '$entered', '$confirmed'];

const HAS_TAG = `exists (select 1 from subscriber_tag st where st.subscriber_id = s.id$tagged
  and st.tag_id = any (array(select t.id from tag t where t.name = any ($n::text[]))))`;

const HAS_ALL_TAGS = `(select count(*) from subscriber_tag st join tag t on t.id = st.tag_id
  where st.subscriber_id = s.id$tagged and t.name = any ($n::text[])) = cardinality($n::text[])`;

const WAS_IN_FUNNEL = `exists (select 1 from enrollment e join sequence q on q.id = e.sequence_id
  where e.subscriber_id = s.id$entered and q.funnel_key = $n)`;

/** The segments an audience names, each once. */
export function segmentsOf(audience: Audience): string[] {
  const { segments: named } = filterOf(audience);
  return [...new Set([...(named?.any ?? []), ...(named?.none ?? [])])];
}

/** The tags and the funnel that an audience names. */
export function namesOf(audience: Audience): { tags: string[]; funnel: string | null } {
  const { tags: named, funnel = null } = filterOf(audience);
  return {
    tags: [...new Set([...(named?.any ?? []), ...(named?.all ?? []), ...(named?.none ?? [])])],
    funnel,
  };
}

/**
 * Those in any segment and in none of the others, as one tree; null when no segment is named. Throws for a key without
 * conditions: the broadcast has frozen them at its start.
 */
export function segmentCondition(
  audience: Audience,
  conditions: Readonly<Record<string, Condition>>,
): Condition | null {
  const { segments: chosen } = filterOf(audience);
  if (!chosen) return null;
  const named = (key: string): Condition => {
    const condition = conditions[key];
    if (condition) return condition;
    throw new Error(`the segment ${key} of the audience has no conditions`);
  };
  const { any: wanted, none: unwanted } = chosen;
  return {
    all: [
      ...(wanted ? [{ any: wanted.map(named) }] : []),
      ...(unwanted ? [{ not: { any: unwanted.map(named) } }] : []),
    ],
  };
}

/** The whole audience as a segment would say it; null for those who are told by what they did with an earlier mail. */
export function audienceCondition(
  audience: Audience,
  conditions: Readonly<Record<string, Condition>>,
): Condition | null {
  if ('resendOf' in audience) return null;
  const { tags: tagged, funnel } = filterOf(audience);
  const having = (names: readonly string[] = []): Condition[] => names.map((tag) => ({ tag }));
  const inSegments = segmentCondition(audience, conditions);
  return {
    all: [
      { status: ['active'] },
      ...(tagged?.any ? [{ any: having(tagged.any) }] : []),
      ...having(tagged?.all),
      ...(tagged?.none ? [{ not: { any: having(tagged.none) } }] : []),
      ...(funnel === undefined ? [] : [{ funnel }]),
      ...(inSegments === null ? [] : [inSegments]),
    ],
  };
}

/** One of the conditions that must all hold. */
interface AudiencePart {
  /** For people, after "somebody who": `has one of the tags “vip”`. */
  words: string;
  /** Over `subscriber s`; `$n` stands for the value, `TIMED` for the time. */
  text: string;
  value?: string | string[];
}

/** What `segmentCondition` said, compiled with parameters from a number on. */
type InSegments = (first: number) => SqlCondition;

function partsOf(audience: Audience): AudiencePart[] {
  const quoted = (names: readonly string[]): string => names.map((name) => `“${name}”`).join(', ');
  const parts: AudiencePart[] = [{ words: 'is on the list', text: `s.status = 'active'$confirmed` }];
  if ('resendOf' in audience) return [...parts, ...resendParts(audience)];
  const { tags: tagged, funnel } = filterOf(audience);
  const { any: oneOf, all, none } = tagged ?? {};
  if (oneOf) parts.push({ words: `has one of the tags ${quoted(oneOf)}`, text: HAS_TAG, value: oneOf });
  if (all) parts.push({ words: `has all of the tags ${quoted(all)}`, text: HAS_ALL_TAGS, value: all });
  if (none)
    parts.push({ words: `has none of the tags ${quoted(none)}`, text: `not ${HAS_TAG}`, value: none });
  if (funnel !== undefined)
    parts.push({ words: `was in the funnel ${quoted([funnel])}`, text: WAS_IN_FUNNEL, value: funnel });
  return parts;
}

/** A hit that is certainly a machine's says nothing; one that may be a person's counts, so that nobody is bothered who has read it. */
const ACTED: Readonly<Record<ResendAudience['unless'], string>> = {
  opened: `e.kind in ('open', 'click')`,
  clicked: `e.kind = 'click'`,
};

/** Served by message_subscriber, tracking_event_message and conversion_subscriber. */
function resendParts({ resendOf, unless }: ResendAudience): AudiencePart[] {
  const got = (condition: string): string =>
    `exists (select 1 from message first where first.subscriber_id = s.id and first.broadcast_id = $n::bigint
       and first.state = 'accepted' and ${condition})`;
  return [
    { words: 'got the first mail', text: got('true'), value: resendOf },
    {
      words: `has not ${unless} it, as far as a machine’s doing can be told from a person’s`,
      text: got(`not exists (select 1 from tracking_event e where e.message_id = first.id and ${ACTED[unless]}
        and ${mayBeRead('e')})`),
      value: resendOf,
    },
    { words: 'agrees that openings and clicks are seen', text: 's.tracking_consent' },
    {
      words: 'has bought nothing since',
      text: got(`not exists (select 1 from conversion c where c.subscriber_id = s.id and c.kind = 'order'
        and c.at >= first.accepted_at)`),
      value: resendOf,
    },
    {
      words: 'is not on the suppression list',
      text: got('not exists (select 1 from suppression x where x.email_hash = first.address_hash)'),
      value: resendOf,
    },
    {
      words: 'has not got it a second time already',
      text: `not exists (select 1 from message again join broadcast r on r.id = again.broadcast_id
        where again.subscriber_id = s.id and r.resend_of = $n::bigint)`,
      value: resendOf,
    },
  ];
}

function compilePart({ text, value }: AudiencePart, number: number, asOf: Date | null): SqlCondition {
  const own = value === undefined ? [] : [value];
  const since = (column: string): string =>
    asOf === null ? '' : ` and ${column} <= $${number + own.length}::timestamptz`;
  const compiled = text
    .replaceAll('$tagged', since('st.created_at'))
    .replaceAll('$entered', since('e.started_at'))
    .replaceAll('$confirmed', since(`coalesce(s.confirmed_at, '-infinity')`))
    .replaceAll('$n', `$${number}`);
  // A parameter that no text names is refused by PostgreSQL, which cannot tell its type.
  const isTimed = TIMED.some((name) => text.includes(name));
  return { text: compiled, parameters: asOf !== null && isTimed ? [...own, asOf] : own };
}

/**
 * The audience as a condition whose parameters are numbered from `first`. What was typed is only ever a parameter. Of one
 * that names segments, `inSegments` says who is in them.
 */
export function compileAudience(
  audience: Audience,
  first: number,
  inSegments: InSegments | null = null,
  asOf: Date | null = null,
): SqlCondition {
  const conditions = audienceParts(audience, first, inSegments, asOf).map(({ condition }) => condition);
  return {
    text: conditions.map(({ text }) => text).join(' and '),
    parameters: conditions.flatMap(({ parameters }) => parameters),
  };
}

/** As `compileAudience` of now, whatever the status of a person is. */
export function compileChosen(audience: Audience, inSegments: InSegments | null): SqlCondition {
  const [, ...chosen] = audienceParts(audience, 1, inSegments).map(({ condition }) => condition);
  return {
    text: ['true', ...chosen.map(({ text }) => text)].join(' and '),
    parameters: chosen.flatMap(({ parameters }) => parameters),
  };
}

/**
 * Each condition of the audience by itself, in words and as SQL; all parameters are numbered on from `first`. With
 * `asOf` only people, tags and funnels count that were there then.
 */
export function audienceParts(
  audience: Audience,
  first: number,
  inSegments: InSegments | null = null,
  asOf: Date | null = null,
): { words: string; condition: SqlCondition }[] {
  let next = first;
  const parts = partsOf(audience).map((part) => {
    const condition = compilePart(part, next, asOf);
    next += condition.parameters.length;
    return { words: part.words, condition };
  });
  if (inSegments === null) return parts;
  const { any: wanted = [], none: unwanted = [] } = filterOf(audience).segments ?? {};
  const words = [
    ...(wanted.length > 0 ? [`is in one of the segments ${wanted.map((key) => `“${key}”`).join(', ')}`] : []),
    ...(unwanted.length > 0
      ? [`is in none of the segments ${unwanted.map((key) => `“${key}”`).join(', ')}`]
      : []),
  ];
  return [...parts, { words: words.join(' and '), condition: inSegments(next) }];
}
