import { z } from 'zod';

const MAX_ID = 9_223_372_036_854_775_807n;
const CURSOR = /^[A-Za-z0-9_-]{2,1000}$/;

const ID_ADVICE = 'use the id as the API gave it: a whole number as text';

/** An identity of the database: a bigint as a decimal string, because JSON numbers end at 2^53. */
export const idSchema = z
  .string()
  .regex(/^[1-9]\d{0,18}$/, { error: ID_ADVICE, abort: true })
  .refine((id) => BigInt(id) <= MAX_ID, ID_ADVICE);

const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(200)
  .default(50)
  .meta({ description: 'How many entries to answer at most.' });

/** The `cursor` of a list whose rows are in the order of `id`. */
function cursorBy(id: z.ZodType<string>) {
  return z
    .string()
    .transform((cursor, context) => {
      const last = decodeCursor(cursor, id);
      if (last !== null) return last;
      context.addIssue({ code: 'custom', message: 'use the nextCursor of the page before, unchanged' });
      return z.NEVER;
    })
    .optional()
    .meta({ description: '`nextCursor` of the page before; leave it out for the first page.' });
}

/**
 * Query of every list; a list with filters extends it (`pageQuery.extend({ tag: ... })`). `limit` is 1 to 200, 50 when
 * left out. `cursor` comes out decoded: the id of the last row the caller has seen.
 */
export const pageQuery = z.strictObject({ limit, cursor: cursorBy(idSchema) });

/** As `pageQuery`, for a list whose rows have no id of the database: `id` is what one of them is known by. */
export function pageQueryBy(id: z.ZodType<string>): typeof pageQuery {
  return z.strictObject({ limit, cursor: cursorBy(id) });
}

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
  return Buffer.from(id).toString('base64url');
}

/** `null` for anything `encodeCursor` did not make. */
export function decodeCursor(cursor: string, schema: z.ZodType<string> = idSchema): string | null {
  if (!CURSOR.test(cursor)) return null;
  const id = Buffer.from(cursor, 'base64url').toString();
  return schema.safeParse(id).success && encodeCursor(id) === cursor ? id : null;
}

/** The id behind which a page of the owner goes on; what is no cursor gives the first page. */
export function cursorOf(given: unknown): string | undefined {
  return typeof given === 'string' ? (decodeCursor(given) ?? undefined) : undefined;
}
