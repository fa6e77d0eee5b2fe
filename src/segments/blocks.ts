import {
  compileNode,
  type CompileOptions,
  contextOf,
  isOfPeople,
  peopleOf,
  type Context,
  type PeopleLeaf,
  type SqlCondition,
} from './compile.js';
import { type Condition, leavesOf } from './condition.js';

/**
 * Who meets a tree of conditions, as a query of blocks: `b`, an id divided by 64, and `w`, a bigint with a bit for each
 * id of the block who does. Whatever was typed is a parameter.
 *
 * Each set of people is read once, by several processes, into 64 people a word; the tree is then ands, ors and nots of
 * some 16,000 words for a million people. A hash table of people for each set in each process took three times as long.
 */
export function compileBlocks(condition: Condition, options: BlockOptions): SqlCondition {
  const { context, parameters } = contextOf({ ...options, mode: 'row' });
  const { range } = options;
  const bounds = range && [context.parameter(range.from, 'bigint'), context.parameter(range.below, 'bigint')];
  const tree: Tree = { context, columns: [], sets: [], bounds: bounds ?? [] };
  const parts = conjuncts(condition);
  const plain = parts.filter(isPlain).map((part) => compileNode(part, context));
  const ofPeople = parts.filter((part) => !isPlain(part));
  const base = plain.length === 0 ? ofPeople.find(isOfThoseThere) : undefined;
  const words = ofPeople.filter((part) => part !== base).map((part) => wordsOf(part, tree));
  // Everybody need not be looked at where a set of people must be looked at anyhow.
  const isSet = base !== undefined && tree.columns.length === 0;
  if (base !== undefined && !isSet) words.push(wordsOf(base, tree));
  const all = isSet ? setOf(base, tree) : everybody(plain, tree);
  const text = `select p.b, ${['p.w', ...words].join(' & ')} as w from (${besideEachOther(all, tree)}) p`;
  return { text, parameters };
}

/**
 * The words of all sets for each block that `all` has. Not by a join: of two sets that the planner takes for one row
 * each, while statistics are behind, it would group the second anew for every block of the first.
 */
function besideEachOther(all: string, { columns, sets }: Tree): string {
  if (sets.length === 0) return all;
  const flags = columns.map((_, at) => `c${at}`);
  const rows = [
    `select 0 as k, ${['b', 'w', ...flags].join(', ')} from (${all}) x`,
    ...sets.map(
      (sql, at) => `select ${[at + 1, 'b', 'w', ...flags.map(() => 'null')].join(', ')} from (${sql}) x`,
    ),
  ];
  const words = [
    'bit_or(w) filter (where k = 0) as w',
    ...flags.map((flag) => `bit_or(${flag}) as ${flag}`),
    ...sets.map((_, at) => `bit_or(w) filter (where k = ${at + 1}) as w${at}`),
  ];
  return `select b, ${words.join(', ')} from (${rows.join(' union all ')}) x group by b having bool_or(k = 0)`;
}

export interface BlockOptions extends Omit<CompileOptions, 'mode'> {
  /** Only people with ids from the one on, below the other. */
  range?: { from: string; below: string };
}

function everybody(where: readonly string[], { columns, bounds }: Tree): string {
  const flags = columns.map((sql, at) => `, ${sql} as c${at}`).join('');
  const words = columns.map((_, at) => `, bit_or(${BIT}) filter (where x.c${at}) as c${at}`).join('');
  const conditions = [...within('s.id', bounds), ...where];
  return `select x.b, bit_or(${BIT}) as w${words} from (select ${place('s.id')}${flags} from subscriber s
    ${conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`} offset '0') x group by 1`;
}

function setOf(leaf: PeopleLeaf, { context, bounds }: Tree): string {
  const { column, source, where } = peopleOf(leaf, context);
  const conditions = [`${column} is not null`, ...within(column, bounds), ...where].join(' and ');
  return `select x.b, bit_or(${BIT}) as w from (
    select ${place(column)} from ${source} where ${conditions} offset '0') x group by 1`;
}

function within(id: string, [from, below]: readonly string[]): string[] {
  return from === undefined || below === undefined ? [] : [`${id} >= ${from}`, `${id} < ${below}`];
}

/**
 * The block of an id and its bit there. They are made in a subquery with `offset '0'`, through which the planner sees no
 * statistics: taking nearly each id for a block of its own, it handed all people to one process before they were grouped.
 * The quotes make it a constant at once; `offset 0` is cast when it is too late to read the subquery in parallel.
 */
const place = (id: string): string => `${id} >> 6 as b, (${id} & 63)::int as i`;
const BIT = '1::bigint << x.i';

/** Whether one pass over the subscribers themselves can tell. */
export function isPlain(condition: Condition): boolean {
  return leavesOf(condition).every(({ leaf }) => !isOfPeople(leaf));
}

/** Sets that never hold who is gone: a foreign key, or their only writer, sees to it. Hits and mails may outlive people. */
function isOfThoseThere(condition: Condition): condition is PeopleLeaf {
  return ['tag', 'list', 'purchased', 'member', 'affiliate', 'sequence', 'funnel', 'form'].some(
    (kind) => kind in condition,
  );
}

interface Tree {
  context: Context;
  /** Conditions over `s` that stand beside sets of people. */
  columns: string[];
  sets: string[];
  /** Parameters: none, or the first id and the one behind the last. */
  bounds: readonly string[];
}

function conjuncts(condition: Condition): Condition[] {
  if ('all' in condition) return condition.all.flatMap(conjuncts);
  if ('not' in condition && 'any' in condition.not)
    return condition.not.any.flatMap((one) => conjuncts({ not: one }));
  return [condition];
}

/** An expression over the words of columns and sets; null words are of blocks in which there is nobody. */
function wordsOf(condition: Condition, tree: Tree): string {
  if (isPlain(condition))
    return `coalesce(p.c${tree.columns.push(compileNode(condition, tree.context)) - 1}, 0)`;
  if ('all' in condition) return `(${condition.all.map((one) => wordsOf(one, tree)).join(' & ')})`;
  if ('any' in condition) return `(${condition.any.map((one) => wordsOf(one, tree)).join(' | ')})`;
  if ('not' in condition) return `(~ ${wordsOf(condition.not, tree)})`;
  if (!isOfPeople(condition)) throw new Error('a condition that is neither plain nor of people');
  return `coalesce(p.w${tree.sets.push(setOf(condition, tree)) - 1}, 0)`;
}
