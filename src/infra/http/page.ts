import { z } from 'zod';

const MAX_ID = 9_223_372_036_854_775_807n;
const CURSOR = /^[A-Za-z0-9_-]{2,32}$/;

const ID_ADVICE = 'use the id as the API gave it: a whole number as text';

/** An identity of the database: a bigint as a decimal string, because JSON numbers end at 2^53. */
export const idSchema = z
  .string()
  .regex(/^[1-9]\d{0,18}$/, { error: ID_ADVICE, abort: true })
  .refine((id) => BigInt(id) <= MAX_ID, ID_ADVICE);

/**
 * Query of every list; a list with filters extends it (`pageQuery.extend({ tag: ... })`). `limit` is 1 to 200, 50 when
 * left out. `cursor` comes out decoded: the id of the last row the caller has seen.
 */
export const pageQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(200)
    .default(50)
    .meta({ description: 'How many entries to answer at most.' }),
  cursor: z
    .string()
    .transform((cursor, context) => {
      const id = decodeCursor(cursor);
      if (id !== null) return id;
      context.addIssue({ code: 'custom', message: 'use the nextCursor of the page before, unchanged' });
      return z.NEVER;
    })
    .optional()
    .meta({ description: '`nextCursor` of the page before; leave it out for the first page.' }),
});

export type PageQuery = z.output<typeof pageQuery>;

export interface Page<T> {
  data: T[];
  /** `null` on the last page. */
  nextCursor: string | null;
}

/** Schema of the answer of a list of `item`. */
export function pageOf<Item extends z.ZodType>(
  item: Item,
): z.ZodObject<{ data: z.ZodArray<Item>; nextCursor: z.ZodNullable<z.ZodString> }> {
  return z.object({ data: z.array(item), nextCursor: z.string().nullable() });
}

/**
 * Makes a page of rows read with `limit + 1` in the list's order (id descending unless the list says otherwise): the
 * one too many only tells that there is a next page.
 */
export function toPage<Row extends { id: string }, Json>(
  rows: readonly Row[],
  limit: number,
  toJson: (row: Row) => Json,
): Page<Json> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    data: shown.map((row) => toJson(row)),
    nextCursor: rows.length > limit && last ? encodeCursor(last.id) : null,
  };
}

/** Opaque to callers, so that what it holds may change. */
export function encodeCursor(id: string): string {
  return Buffer.from(id, 'latin1').toString('base64url');
}

/** `null` for anything `encodeCursor` did not make. */
export function decodeCursor(cursor: string): string | null {
  if (!CURSOR.test(cursor)) return null;
  const id = Buffer.from(cursor, 'base64url').toString('latin1');
  return idSchema.safeParse(id).success && encodeCursor(id) === cursor ? id : null;
}

/** The id behind which a page of the owner goes on; what is no cursor gives the first page. */
export function cursorOf(given: unknown): string | undefined {
  return typeof given === 'string' ? (decodeCursor(given) ?? undefined) : undefined;
}
