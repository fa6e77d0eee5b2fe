import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';

/** What of a request tells who is there; a `FastifyRequest` is one. */
export interface RequestFacts {
  ip: string;
  method: string;
  headers: IncomingHttpHeaders;
  query: unknown;
}

/** A hit as it is kept until it is stored. There is no address in it: it may lie in a file for a while. */
const keptHitSchema = z.object({
  kind: z.enum(['open', 'click']),
  messageId: z.string().regex(/^\d{1,19}$/),
  linkId: z
    .string()
    .regex(/^\d{1,19}$/)
    .nullable(),
  method: z.string(),
  userAgent: z.string().nullable(),
  purpose: z.string().nullable(),
  hasAcceptLanguage: z.boolean(),
  fetchDest: z.string().nullable(),
  network: z.string().nullable(),
  local: z.boolean(),
  /** Hexadecimal; differs from day to day for the same address. */
  ipHash: z.string().regex(/^(?:[0-9a-f]{2})*$/),
  atMs: z.number().int(),
});

/** Hits that are stored in one transaction, or not at all. */
const hitBatchSchema = z.object({ id: z.uuid(), hits: z.array(keptHitSchema) });

export type KeptHit = z.output<typeof keptHitSchema>;
export type HitBatch = z.output<typeof hitBatchSchema>;

/** The batch that `JSON.stringify` wrote, or null for anything else, such as a torn file. */
export function readHitBatch(text: string): HitBatch | null {
  try {
    return hitBatchSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

const MAX_USER_AGENT_CHARS = 500;
const MAX_HEADER_CHARS = 60;

export type HeaderFacts = Pick<
  KeptHit,
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
