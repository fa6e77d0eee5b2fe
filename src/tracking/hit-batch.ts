import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';

/** What of a request tells who is there; a `FastifyRequest` is one. */
export interface RequestFacts {
  ip: string;
  method: string;
  headers: IncomingHttpHeaders;
  query: unknown;
}

const id = z.string().regex(/^\d{1,19}$/);

/** What the hits of one client have in common; kept and stored once for many of them. There is no address in it. */
const hitSourceSchema = z.object({
  kind: z.enum(['open', 'click']),
  method: z.string(),
  userAgent: z.string().nullable(),
  purpose: z.string().nullable(),
  hasAcceptLanguage: z.boolean(),
  fetchDest: z.string().nullable(),
  network: z.string().nullable(),
  local: z.boolean(),
  /** Hexadecimal; differs from day to day for the same address. */
  ipHash: z.string().regex(/^(?:[0-9a-f]{2})*$/),
});

const keptHitSchema = z.object({
  /** Place among the batch's sources. */
  source: z.int().nonnegative(),
  messageId: id,
  linkId: id.nullable(),
  atMs: z.int(),
});

/** Hits that are stored in one transaction, or not at all. They may lie in a file for a while. */
const hitBatchSchema = z
  .object({ id: z.uuid(), sources: z.array(hitSourceSchema), hits: z.array(keptHitSchema) })
  .refine(({ sources, hits }) => hits.every(({ source }) => source < sources.length));

export type HitSource = z.output<typeof hitSourceSchema>;
export type KeptHit = z.output<typeof keptHitSchema>;
export type HitBatch = z.output<typeof hitBatchSchema>;

/** As earlier releases wrote it: each hit with all that is known of its client. */
const earlierBatchSchema = z
  .object({
    id: z.uuid(),
    hits: z.array(keptHitSchema.omit({ source: true }).extend(hitSourceSchema.shape)),
  })
  .transform(({ id: batchId, hits }) => ({
    id: batchId,
    sources: hits.map(({ messageId: _message, linkId: _link, atMs: _at, ...source }) => source),
    hits: hits.map(({ messageId, linkId, atMs }, source) => ({ source, messageId, linkId, atMs })),
  }));

/** The batch that `JSON.stringify` wrote, or null for anything else, such as a torn file. */
export function readHitBatch(text: string): HitBatch | null {
  try {
    return z.union([hitBatchSchema, earlierBatchSchema]).safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

const MAX_USER_AGENT_CHARS = 500;
const MAX_HEADER_CHARS = 60;

export type HeaderFacts = Pick<
  HitSource,
  'method' | 'userAgent' | 'purpose' | 'hasAcceptLanguage' | 'fetchDest'
>;

/** What the rules look at in the headers, cut to a length that is kept. */
export function headerFacts({ method, headers }: Pick<RequestFacts, 'method' | 'headers'>): HeaderFacts {
  const purpose =
    headers['sec-purpose'] ?? headers['purpose'] ?? headers['x-purpose'] ?? headers['x-moz'] ?? null;
  return {
    method,
    userAgent: cut(headers['user-agent'], MAX_USER_AGENT_CHARS),
    purpose: cut(Array.isArray(purpose) ? purpose.join(' ') : (purpose ?? undefined), MAX_HEADER_CHARS),
    hasAcceptLanguage: (headers['accept-language'] ?? '') !== '',
    fetchDest: cut(headers['sec-fetch-dest']?.toString(), MAX_HEADER_CHARS),
  };
}

/** PostgreSQL has no text with a NUL in it. */
function cut(text: string | undefined, most: number): string | null {
  if (text === undefined) return null;
  return (text.includes('\0') ? text.replaceAll('\0', '') : text).slice(0, most);
}
