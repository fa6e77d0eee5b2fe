import {
  compilePlain,
  type CompileOptions,
  contextOf,
  isOfPeople,
  peopleOf,
  type Context,
  type PeopleLeaf,
  type SqlCondition,
} from './compile.js';
import type { Condition, Leaf } from './condition.js';
import {
  allOf,
  anyOf,
  everyLeaf,
  type Form,
  type FormLeaf,
  formOf,
  isMetByNone,
  othersThan,
} from './form.js';

/**
 * Who meets a tree of conditions, for counts and pages over everybody. `rows` is a condition over `subscriber s`, `blocks`
 * a query of `b`, an id divided by 64, and `w`, a bigint with a bit for each id of the block who does. Whatever was typed
 * is a parameter.
 *
 * Each set of people, such as those with a tag, is read once, by several processes, into 64 people a word; sets under
 * `all`, `any` and `not` are ands, ors and nots of some 16,000 words for a million people. Where the subscribers' own rows
 * are asked, too, the words are laid end to end, and each row looks up its bit there. A hash table of people for each set
 * in each process took four times as long; rows that were gathered into words themselves, twice.
 */
export type ForEverybody = SqlCondition & { of: 'rows' | 'blocks' };

export interface EverybodyOptions extends CompileOptions {
  /** Only people with ids from the one on, below the other. */
  range?: { from: string; below: string };
}

export function compileForEverybody(condition: Condition, options: EverybodyOptions): ForEverybody {
  const { context, parameters } = contextOf(options);
  const { range } = options;
  const bounds = range && {
    from: context.parameter(range.from, 'bigint'),
    below: context.parameter(range.below, 'bigint'),
  };
  const scope: Scope = { context, bounds };
  const form = formOf(condition);
  if (isOfSets(form) && areThere(form)) return { of: 'blocks', text: blocksOf(form, scope), parameters };
  const text = [...within('s.id', bounds), rowsOf(form, scope)].join(' and ');
  return { of: 'rows', text, parameters };
}

interface Scope {
  context: Context;
  /** Parameters: the first id and the one behind the last. */
  bounds: { from: string; below: string } | undefined;
}

function isOfSets(form: Form): boolean {
  return everyLeaf(form, isOfPeople);
}

/** Sets that never hold who is gone: a foreign key, or their only writer, sees to it. Hits and mails may outlive people. */
const KEPT = ['tag', 'list', 'purchased', 'member', 'affiliate', 'sequence', 'funnel', 'form'];

/** Whether all who meet it are subscribers still. */
function areThere(form: Form): boolean {
  if ('all' in form) return form.all.some(areThere);
  if ('any' in form) return form.any.every(areThere);
  return form.is && KEPT.some((kind) => kind in form.leaf);
}

function within(id: string, bounds: Scope['bounds']): string[] {
  return bounds === undefined ? [] : [`${id} >= ${bounds.from}`, `${id} < ${bounds.below}`];
}

function rowsOf(form: Form, scope: Scope): string {
  if (isOfSets(form)) return bitOf(form, scope);
  if ('leaf' in form) return `${form.is ? '' : 'not '}${compilePlain(form.leaf, scope.context)}`;
  const parts = 'all' in form ? form.all : form.any;
  const sets = parts.filter(isOfSets);
  const compiled = (costs: readonly Cost[]): string[] =>
    parts
      .filter((part) => !isOfSets(part) && costs.includes(costOf(part)))
      .map((part) => rowsOf(part, scope));
  if ('any' in form) {
    const bits = sets.length === 0 ? [] : [bitOf(anyOf(sets), scope)];
    return `(${[...compiled(['time']), ...bits, ...compiled(['status']), ...compiled(['field'])].join(' or ')})`;
  }
  const [times, statuses, fields] = [compiled(['time']), compiled(['status']), compiled(['field'])];
  const bits = sets.length === 0 ? [] : [bitOf(allOf(sets), scope)];
  if (bits.length === 0 || fields.length === 0)
    return `(${[...times, ...statuses, ...bits, ...fields].join(' and ')})`;
  // The planner takes all functions for equally dear, and would look into everybody's fields first.
  const last = `case when ${bits.join('')} then ${[...statuses, ...fields].join(' and ')} else false end`;
  return `(${[...times, last].join(' and ')})`;
}

/** A bit is looked up in the time that two times are compared in; a text takes three times that, a field ten times. */
type Cost = 'time' | 'status' | 'field';

function costOf(form: Form): Cost {
  if (everyLeaf(form, (leaf: Leaf) => 'signedUp' in leaf || 'confirmed' in leaf)) return 'time';
  return everyLeaf(form, (leaf: Leaf) => !('field' in leaf)) ? 'status' : 'field';
}

/**
 * Looks the subscriber up in the words of a tree of sets, which are made once before any row is read. `int8send` writes
 * the highest bits first, and `get_bit` reads the lowest of each byte first: the bytes of a word are counted from behind.
 */
function bitOf(form: Form, scope: Scope): string {
  // Whom no set knows needs no bit then.
  const isOthers = isMetByNone(form);
  const blocks = blocksOf(isOthers ? othersThan(form) : form, scope);
  const { bounds } = scope;
  const first = bounds === undefined ? '0' : `(${bounds.from} >> 6)`;
  const last =
    bounds === undefined ? '(select max(id) >> 6 from subscriber)' : `((${bounds.below} - 1) >> 6)`;
  const id = bounds === undefined ? 's.id' : `(s.id - (${first} << 6))`;
  const bits = `select coalesce(
      string_agg(case when z.gap = 0 then int8send(z.w) else ${zeros('z.gap')} || int8send(z.w) end, '' order by z.b)
        || ${zeros(`greatest(${last} - max(z.b), 0)`)},
      ${zeros(`${last} - ${first} + 1`)})
    from (select x.b, x.w, x.b - lag(x.b, 1, ${first} - 1) over (order by x.b) - 1 as gap
      from (${blocks}) x where x.w <> 0) z`;
  return `get_bit((${bits}), ${id} # 56) = ${isOthers ? 0 : 1}`;
}

/** Words of nobody. */
function zeros(count: string): string {
  return `decode(repeat('00', (8 * (${count}))::int), 'hex')`;
}

/**
 * The words of a tree of sets, for each block that is in any of them. The sets are read one after the other and grouped
 * at once: never by a join, for of two sets that the planner takes for one row each, while statistics are behind, it
 * would group the second anew for every block of the first. Ids become blocks and bits in subqueries with `offset '0'`,
 * through which it sees no statistics: taking nearly each id for a block of its own, it handed all people to one process
 * before they were grouped. The quotes make it a constant at once; `offset 0` is cast when it is too late to read the
 * subquery in parallel.
 */
function blocksOf(form: Form, { context, bounds }: Scope): string {
  const columns: PeopleLeaf[][] = [];
  const words = wordsOf(form, columns);
  const sets = columns.flatMap((leaves, at) =>
    leaves.map((leaf) => {
      const { column, source, where } = peopleOf(leaf, context);
      const bits = columns.map((_, other) =>
        other === at ? `1::bigint << (${column} & 63)::int as m${at}` : `null::bigint as m${other}`,
      );
      const conditions = [`${column} is not null`, ...within(column, bounds), ...where].join(' and ');
      return `(select ${column} >> 6 as b, ${bits.join(', ')} from ${source} where ${conditions} offset '0')`;
    }),
  );
  const grouped = columns.map((_, at) => `bit_or(x.m${at}) as w${at}`).join(', ');
  return `select y.b, ${words} as w from (
    select x.b, ${grouped} from (${sets.join(' union all ')}) x group by x.b) y`;
}

/** An expression over the words of columns, each the union of some sets; null words are of blocks with nobody of them. */
function wordsOf(form: Form, columns: PeopleLeaf[][]): string {
  if ('leaf' in form) return unionOf([form], columns, form.is);
  const isAny = 'any' in form;
  const parts = isAny ? form.any : form.all;
  // Those in any of some sets, and those in none of some, are one union.
  const together = parts.filter((part): part is FormLeaf => 'leaf' in part && part.is === isAny);
  const words = parts
    .filter((part) => !together.some((one) => one === part))
    .map((part) => wordsOf(part, columns));
  if (together.length > 0) words.push(unionOf(together, columns, isAny));
  return `(${words.join(isAny ? ' | ' : ' & ')})`;
}

function unionOf(leaves: readonly FormLeaf[], columns: PeopleLeaf[][], is: boolean): string {
  const at = columns.push(leaves.map(({ leaf }) => leaf).filter(isOfPeople)) - 1;
  return `${is ? '' : '~'}coalesce(y.w${at}, 0)`;
}
