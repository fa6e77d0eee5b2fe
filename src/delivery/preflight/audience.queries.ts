import { Injectable } from '@nestjs/common';
import { DataSource, type QueryRunner } from 'typeorm';

/** Those who would get a mail. */
export interface Readers {
  /** A condition over `subscriber s`, of fixed texts, with its parameters from $1 on. */
  condition: { text: string; parameters: unknown[] };
  /** In words, for people: `active subscribers`. */
  words: string;
  /** The funnel whose enrolments bring data of their own; null when none do. */
  funnelKey: string | null;
}

export const EVERYBODY: Readers = {
  condition: { text: `s.status = 'active'`, parameters: [] },
  words: 'active subscribers',
  funnelKey: null,
};

export interface Lacking {
  total: number;
  empty: number;
  words: string;
  /** Ids of up to three subscribers who lack it. */
  examples: string[];
}

/** One reader, for one of the values that a variable has among all of them. */
export interface ValueReader {
  id: string;
  email: string;
  name: string | null;
  fields: Record<string, unknown>;
}

const EXAMPLES = 3;
/** Rows held at a time. */
const FETCHED = 500;
const NAMED = new Set(['subscriber.name', 'subscriber.firstName']);
/** As the API lets fields be named, so the name may stand in a statement. */
const OWN_FIELD = /^subscriber\.fields\.([a-z][a-zA-Z0-9]{0,49})$/;
const ENROLLED_DATA = /^(download)(?:\.(url|name))?$/;

/** Name of the subscriber's own field that a variable prints; null for any other variable. */
export function ownField(variable: string): string | null {
  return OWN_FIELD.exec(variable)?.[1] ?? null;
}

const OF_READER =
  /^subscriber(?:\.(?:(name|firstName|email)|fields(?:\.([a-z][a-zA-Z0-9]{0,49}))?)(?![a-zA-Z0-9_-]).*)?$/;

/** What of a reader decides how the variable comes out, as SQL over `subscriber s`; null when nothing does. */
export function valueSql(variable: string): string | null {
  const found = OF_READER.exec(variable);
  if (found === null) return null;
  const [, column, field] = found;
  if (field !== undefined) return `s.fields->>'${field}'`;
  if (column === 'firstName') return `split_part(s.name, ' ', 1)`;
  return column === undefined ? 's.fields::text' : `s.${column}`;
}

/** Who lacks what a mail prints, counted over all who would get it. Reads only. */
@Injectable()
export class AudienceQueries {
  constructor(private readonly dataSource: DataSource) {}

  /** One pass over the readers; null for a variable that nobody can lack. */
  async lacking(variable: string, readers: Readers): Promise<Lacking | null> {
    const { text, parameters } = readers.condition;
    const field = ownField(variable);
    if (NAMED.has(variable) || field !== null) {
      const missing = field === null ? `btrim(s.name)` : `s.fields->>'${field}'`;
      const from = `from subscriber s where ${text}`;
      return this.count({ from, parameters, missing, words: readers.words });
    }
    const [, head, key] = ENROLLED_DATA.exec(variable) ?? [];
    if (head === undefined || readers.funnelKey === null) return null;
    return this.count({
      from: `from enrollment e join sequence q on q.id = e.sequence_id join subscriber s on s.id = e.subscriber_id
        where q.funnel_key = $1 and e.status = 'active'`,
      parameters: [readers.funnelKey],
      missing: `e.data#>>'{${key === undefined ? head : `${head},${key}`}}'`,
      words: 'people in the funnel',
    });
  }

  /**
   * In batches, one reader for each value of `valueSql` among the readers, `most` at the most; those first whose value is
   * empty or has a control character in it, which break most mails. Called when a broadcast starts, and before its first
   * mail. Locks nothing; one pass over the readers, then a cursor over their ids, outside of any transaction: one that is
   * open for minutes would keep the ledger's old rows from being cleared away. Holds one connection and asks for no second:
   * as many of them as there are connections would wait for each other for ever. Rejects with PostgreSQL's 57014 when that
   * pass is not through by `untilMs`, which is on the clock of `performance.now`.
   */
  async *byValue(
    value: string,
    { condition: { text, parameters } }: Readers,
    { most, untilMs }: { most: number; untilMs: number },
  ): AsyncGenerator<ValueReader[]> {
    const runner = this.dataSource.createQueryRunner();
    try {
      await runner.startTransaction();
      // Not before: there may have been a wait for the connection.
      const withinMs = Math.max(1, Math.ceil(untilMs - performance.now()));
      await runner.query(`set local statement_timeout = ${withinMs}`);
      await runner.query(
        `declare reader_value no scroll cursor with hold for
         select g.id, coalesce(btrim(g.value), '') = '' or g.value ~ '[[:cntrl:]\\u2028\\u2029]' as odd
         from (select ${value} as value, min(s.id) as id from subscriber s where ${text} group by 1) g
         order by 2 desc, 1 limit ${most}`,
        parameters,
      );
      await runner.commitTransaction();
      for (;;) {
        const found: { id: string }[] = await runner.query(`fetch ${FETCHED} from reader_value`);
        if (found.length === 0) break;
        yield await readersOf(
          runner,
          found.map(({ id }) => id),
        );
      }
    } finally {
      try {
        if (runner.isTransactionActive) await runner.rollbackTransaction();
        else await runner.query('close all');
      } finally {
        await runner.release();
      }
    }
  }

  private async count({
    from,
    parameters,
    missing,
    words,
  }: {
    from: string;
    parameters: unknown[];
    missing: string;
    words: string;
  }): Promise<Lacking> {
    const lacks = `coalesce(${missing}, '') = ''`;
    const counted: { total: number; empty: number }[] = await this.dataSource.query(
      `select count(*)::float8 as total, count(*) filter (where ${lacks})::float8 as empty ${from}`,
      parameters,
    );
    const { total, empty } = counted[0] ?? { total: 0, empty: 0 };
    if (empty === 0) return { total, empty, words, examples: [] };
    const rows: { id: string }[] = await this.dataSource.query(
      `select s.id ${from} and ${lacks} order by s.id limit ${EXAMPLES}`,
      parameters,
    );
    return { total, empty, words, examples: rows.map(({ id }) => id) };
  }
}

/** In the order of the ids given; who has been erased meanwhile is none. */
async function readersOf(runner: QueryRunner, ids: readonly string[]): Promise<ValueReader[]> {
  return runner.query(
    `select s.id::text as id, s.email, s.name, s.fields
     from unnest($1::bigint[]) with ordinality as g (id, place) join subscriber s on s.id = g.id order by g.place`,
    [ids],
  );
}
