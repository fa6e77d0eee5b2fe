import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager, type QueryRunner } from 'typeorm';
import type { PlainUse } from './value-uses.templates.js';

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

/** Readers who are alike to a mail. */
export interface Grouping {
  /** As SQL over `subscriber s`. */
  keys: string[];
  /** Values whose odd ones come first, as SQL. */
  values: string[];
  /** Those of the keys, numbered behind those of the readers. */
  parameters: unknown[];
}

/** Each value of the variable by itself; null when nothing of a reader decides how it comes out. */
export function eachValue(variable: string): Grouping | null {
  const value = valueSql(variable);
  return value === null ? null : { keys: [value], values: [value], parameters: [] };
}

const BLANK = String.raw`'^\s*$'`;
/** Controls, and those that turn the letters behind them round. */
const UNSEEN = String.raw`[[:cntrl:]\u2028\u2029\u202a-\u202e\u2066-\u2069]`;
const BREAK = String.raw`[\r\n\u2028\u2029]`;
/** Longer values are tried each, as are lists and objects. */
const LONG = 5_000;
/** An address that is one whatever stands behind its host. */
const OPENS = String.raw`'^https?://([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9](:[0-9]{1,4})?([/?#][!-~]*)?$'`;

/**
 * Values of one kind make one key: of all that are words, one stands for the others. Null when one of the variables is no
 * field of its own. `numbered`: parameters that come before.
 */
export function kindsOfValues(uses: ReadonlyMap<string, PlainUse>, numbered: number): Grouping {
  const parameters: unknown[] = [];
  const grouping: Grouping = { keys: [], values: [], parameters };
  for (const [variable, { literals, isAddress }] of uses) {
    const value = valueSql(variable);
    if (value === null) continue;
    const field = ownField(variable);
    const type = field === null ? `''` : `coalesce(jsonb_typeof(s.fields->'${field}'), '')`;
    const equal = [...literals].map((literal) => {
      parameters.push(String(literal));
      return `when ${value} = $${numbered + parameters.length} then 'q${parameters.length}'`;
    });
    const words = `when ${value} !~ '${UNSEEN}' then 'z'
      else 'c' || (${value} ~ '\\S\\s*${BREAK}\\s*\\S')::text || (${value} ~ '${BREAK}')::text || (${value} ~ '^(\\s|${UNSEEN})*$')::text`;
    const address = `when ${value} ~* ${OPENS} and ${value} !~* 'xn--' then 'a' else ${value}`;
    grouping.values.push(value);
    grouping.keys
      .push(`${type} || case when ${value} is null then 'n' when ${value} = '' then 'e' ${equal.join(' ')}
      when ${type} in ('array', 'object', 'boolean') or length(${value}) > ${LONG} then ${value}
      when ${value} ~ ${BLANK} then 'b' ${isAddress ? address : words} end`);
  }
  return grouping;
}

/** Whether a variable's values come to kinds at all. */
export function hasKinds(variable: string): boolean {
  return NAMED.has(variable) || variable === 'subscriber.email' || ownField(variable) !== null;
}

function groupsSql(
  { keys, values, parameters: own }: Grouping,
  { condition: { text, parameters } }: Readers,
  most: number,
): { text: string; parameters: unknown[] } {
  const odd = values.map(
    (value) => `coalesce(btrim(${value}), '') = '' or ${value} ~ '[[:cntrl:]\\u2028\\u2029]'`,
  );
  return {
    text: `select g.id from (select min(s.id) as id, bool_or(${odd.join(' or ')}) as odd from subscriber s where ${text}
      group by ${keys.join(', ')}) g order by g.odd desc, g.id limit ${most}`,
    parameters: [...parameters, ...own],
  };
}

/** What PostgreSQL takes as a timeout. */
const LONGEST_MS = 2_147_483_647;

function leftMs(untilMs: number): number {
  return Math.min(LONGEST_MS, Math.max(1, Math.ceil(untilMs - performance.now())));
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
   * In batches, one reader for each group of values among the readers, `most` at the most; those first who have one that is
   * empty or has a control character in it, which break most mails. Called when a broadcast starts, and before its first
   * mail. Locks nothing; one pass over the readers, then a cursor over their ids, outside of any transaction: one that is
   * open for minutes would keep the ledger's old rows from being cleared away. Holds one connection and asks for no second:
   * as many of them as there are connections would wait for each other for ever. Rejects with PostgreSQL's 57014 when that
   * pass is not through by `untilMs`, which is on the clock of `performance.now`.
   */
  async *byValue(
    grouping: Grouping,
    readers: Readers,
    { most, untilMs }: { most: number; untilMs: number },
  ): AsyncGenerator<ValueReader[]> {
    const runner = this.dataSource.createQueryRunner();
    try {
      await runner.startTransaction();
      // Not before: there may have been a wait for the connection.
      await runner.query(`set local statement_timeout = ${leftMs(untilMs)}`);
      const { text, parameters } = groupsSql(grouping, readers, most);
      await runner.query(`declare reader_value no scroll cursor with hold for ${text}`, parameters);
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

  /**
   * As {@link byValue}, within the transaction of a change that holds a connection already. Of few people: they are held at
   * once. What it did before a timeout is taken back, and the transaction goes on.
   */
  async *byValueWithin(
    manager: EntityManager,
    grouping: Grouping,
    { readers, most, untilMs }: { readers: Readers; most: number; untilMs: number },
  ): AsyncGenerator<ValueReader[]> {
    const { text, parameters } = groupsSql(grouping, readers, most);
    const [before]: { limit: string }[] = await manager.query(
      `select current_setting('statement_timeout') as "limit"`,
    );
    await manager.query('savepoint reader_values');
    let found: { id: string }[];
    try {
      await manager.query(`set local statement_timeout = ${leftMs(untilMs)}`);
      found = await manager.query(text, parameters);
      await manager.query(`select set_config('statement_timeout', $1, true)`, [before?.limit ?? '0']);
      await manager.query('release savepoint reader_values');
    } catch (error) {
      await manager.query('rollback to savepoint reader_values');
      throw error;
    }
    for (let at = 0; at < found.length; at += FETCHED)
      yield await readersOf(
        manager,
        found.slice(at, at + FETCHED).map(({ id }) => id),
      );
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
async function readersOf(runner: Pick<QueryRunner, 'query'>, ids: readonly string[]): Promise<ValueReader[]> {
  return runner.query(
    `select s.id::text as id, s.email, s.name, s.fields
     from unnest($1::bigint[]) with ordinality as g (id, place) join subscriber s on s.id = g.id order by g.place`,
    [ids],
  );
}
