import { compilePlain, isOfPeople, type People, peopleOf, type SqlCondition } from './compile.js';
import { type CompileOptions, type Context, contextOf } from './compile-context.js';
import type { Condition, FieldCondition, Leaf } from './condition.js';
import { wordsOfValues } from './field-words.js';
import {
  allOf,
  anyOf,
  everyLeaf,
  type NormalForm,
  type FormLeaf,
  formOf,
  isMetByNone,
  othersThan,
} from './normal-form.js';
import { type IdGap, outsideGaps, placeOfBlock } from './id-gaps.js';
import { isColumn } from './segment-fields.js';
import { smallSidesOf } from './small-sides.js';

/**
 * Who meets a tree of conditions, for counts and pages over everybody. `rows` is a condition over `subscriber s`, `blocks`
 * a query of `b`, an id divided by 64, and `w`, a bigint with a bit for each id of the block who does. Whatever was typed
 * is a parameter.
 *
 * Each set of people, such as those with a tag, is read once, by several processes, into 64 people a word; sets under
 * `all`, `any` and `not` are ands, ors and nots of some 16,000 words for a million people. Where the subscribers' own rows
 * are asked, too, the words are laid end to end, and each row looks up its bit there. A hash table of people for each set
 * in each process took four times as long; rows that were gathered into words themselves, twice.
 *
 * Own fields are in words of blocks already. Status and sign-up are sets as well, of the fewer of two sides, where nothing
 * else asks the rows: a tree of everything takes half the time so.
 */
export type ForEverybody = SqlCondition & { of: 'rows' | 'blocks' };

export interface EverybodyOptions extends CompileOptions {
  /** Only people with ids from the one on, below the other. */
  range?: { from: string; below: string };
  /** Whether own fields are read from `field_block`, which pays while `stale_block` names few of its blocks. */
  fieldBlocks: boolean;
  /** Of all people's ids. */
  gaps: readonly IdGap[];
  /** About half of the people signed up before it; null when there is nobody. */
  middleSignUp: Date | null;
}

export function compileForEverybody(condition: Condition, options: EverybodyOptions): ForEverybody {
  const { context, parameters } = contextOf(options);
  const { range, fieldBlocks, gaps } = options;
  const bounds = range && {
    from: context.parameter(range.from, 'bigint'),
    below: context.parameter(range.below, 'bigint'),
  };
  const scope: Scope = { context, bounds, fieldBlocks, gaps, onlyThere: false };
  const form = formOf(condition);
  const sides = smallSidesOf(form, options);
  const isEachSet = everyLeaf(form, (leaf) => isOfSet(leaf, scope) || 'status' in leaf || 'signedUp' in leaf);
  if (isEachSet && areThere(sides, () => true)) {
    const onlyThere = !areThere(sides, isKept);
    return { of: 'blocks', text: blocksOf(sides, { ...scope, onlyThere }), parameters };
  }
  const text = [...within('s.id', bounds), rowsOf(form, scope)].join(' and ');
  return { of: 'rows', text, parameters };
}

interface Scope {
  context: Context;
  /** Parameters: the first id and the one behind the last. */
  bounds: { from: string; below: string } | undefined;
  fieldBlocks: boolean;
  gaps: readonly IdGap[];
  /** Whether sets are looked through for those who are gone. */
  onlyThere: boolean;
}

function isOfSets(form: NormalForm, scope: Scope): boolean {
  return everyLeaf(form, (leaf) => isOfSet(leaf, scope));
}

/** Whether it is asked by a set also where the rows are read: status and times take less time there. */
function isOfSet(leaf: Leaf, { fieldBlocks }: Pick<Scope, 'fieldBlocks'>): boolean {
  return isOfPeople(leaf) || (fieldBlocks && isOwnField(leaf));
}

function isOwnField(leaf: Leaf): leaf is FieldCondition {
  return 'field' in leaf && !isColumn(leaf.field);
}

/** Sets that never hold who is gone: a foreign key, or their only writer, sees to it. Hits and mails may outlive people. */
const KEPT = [
  ...['tag', 'list', 'purchased', 'member', 'affiliate', 'sequence', 'funnel', 'form', 'event'],
  ...['status', 'signedUp', 'field'],
];

function isKept(leaf: Leaf): boolean {
  return KEPT.some((kind) => kind in leaf);
}

/** Whether all who meet it are subscribers still, where those are whom the sets hold. */
function areThere(form: NormalForm, holdsPeople: (leaf: Leaf) => boolean): boolean {
  if ('all' in form) return form.all.some((one) => areThere(one, holdsPeople));
  if ('any' in form) return form.any.every((one) => areThere(one, holdsPeople));
  return form.is && holdsPeople(form.leaf);
}

function within(id: string, bounds: Scope['bounds']): string[] {
  return bounds === undefined ? [] : [`${id} >= ${bounds.from}`, `${id} < ${bounds.below}`];
}

function rowsOf(form: NormalForm, scope: Scope): string {
  if (isOfSets(form, scope)) return bitOf(form, scope);
  if ('leaf' in form) return `${form.is ? '' : 'not '}${compilePlain(form.leaf, scope.context)}`;
  const parts = 'all' in form ? form.all : form.any;
  const sets = parts.filter((part) => isOfSets(part, scope));
  const compiled = (costs: readonly Cost[]): string[] =>
    parts
      .filter((part) => !isOfSets(part, scope) && costs.includes(costOf(part)))
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

function costOf(form: NormalForm): Cost {
  if (everyLeaf(form, (leaf: Leaf) => 'signedUp' in leaf || 'confirmed' in leaf)) return 'time';
  return everyLeaf(form, (leaf: Leaf) => !('field' in leaf)) ? 'status' : 'field';
}

/**
 * Looks the subscriber up in the words of a tree of sets, which are made once before any row is read. `int8send` writes
 * the highest bits first, and `get_bit` reads the lowest of each byte first: the bytes of a word are counted from behind.
 */
function bitOf(form: NormalForm, scope: Scope): string {
  // Whom no set knows needs no bit then.
  const isOthers = isMetByNone(form);
  const blocks = blocksOf(isOthers ? othersThan(form) : form, scope);
  const { bounds, gaps } = scope;
  const place = (block: string): string => placeOfBlock(block, gaps);
  const first = bounds === undefined ? '0' : place(`(${bounds.from} >> 6)`);
  const last = place(
    bounds === undefined ? '(select max(id) >> 6 from subscriber)' : `((${bounds.below} - 1) >> 6)`,
  );
  const id =
    gaps.length > 0
      ? `(((${place('(s.id >> 6)')} - ${first}) << 6) + (s.id & 63))`
      : bounds === undefined
        ? 's.id'
        : `(s.id - (${first} << 6))`;
  const placed =
    gaps.length === 0
      ? `(${blocks})`
      : `(select ${place('y.b')} as b, y.w from (${blocks}) y where ${outsideGaps('y.b', gaps)})`;
  const bits = `select coalesce(
      string_agg(case when z.gap = 0 then int8send(z.w) else ${zeros('z.gap')} || int8send(z.w) end, '' order by z.b)
        || ${zeros(`greatest(${last} - max(z.b), 0)`)},
      ${zeros(`${last} - ${first} + 1`)})
    from (select x.b, x.w, x.b - lag(x.b, 1, ${first} - 1) over (order by x.b) - 1 as gap
      from ${placed} x where x.w <> 0) z`;
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
function blocksOf(form: NormalForm, scope: Scope): string {
  const columns: FormLeaf[][] = [];
  const words = wordsOf(form, columns);
  const sets = columns.flatMap((leaves, at) =>
    leaves
      .flatMap((one) => wordsOfSet(one, scope))
      .map(({ block, word, source, where }) => {
        const bits = columns.map((_, other) =>
          other === at ? `${word} as m${at}` : `null::bigint as m${other}`,
        );
        return `(select ${block} as b, ${bits.join(', ')} from ${source} where ${where.join(' and ')} offset '0')`;
      }),
  );
  const grouped = columns.map((_, at) => `bit_or(x.m${at}) as w${at}`).join(', ');
  return `select y.b, ${words} as w from (
    select x.b, ${grouped} from (${sets.join(' union all ')}) x group by x.b) y`;
}

interface WordsOfSet {
  /** Over a row of the source: a block, and a word of some people in it. */
  block: string;
  word: string;
  source: string;
  where: string[];
}

function wordsOfSet({ leaf, is }: FormLeaf, scope: Scope): WordsOfSet[] {
  const { context, bounds } = scope;
  if (isOwnField(leaf)) return wordsOfField(leaf, scope);
  const { column, source, where } = isOfPeople(leaf)
    ? manyTimes(peopleOf(leaf, context), scope)
    : { column: 's.id', source: 'subscriber s', where: [compilePlain(leaf, context)] };
  // A join by the key of the one row: no subquery about each of the others can be asked by several processes.
  const there = is && scope.onlyThere && !isKept(leaf) ? ` join subscriber h on h.id = ${column}` : '';
  return [
    {
      ...{ block: `${column} >> 6`, word: `1::bigint << (${column} & 63)::int`, source: source + there },
      where: [`${column} is not null`, ...within(column, bounds), ...where],
    },
  ];
}

/** Those of a set with enough rows of their own. */
function manyTimes(
  { column, source, where, atLeast = 1 }: ReturnType<typeof peopleOf>,
  scope: Scope,
): People {
  if (atLeast === 1) return { column, source, where };
  const conditions = [...within(column, scope.bounds), ...where];
  const enough = scope.context.parameter(String(atLeast), 'bigint');
  const counted = `select ${column} as id from ${source} where ${conditions.join(' and ')} group by 1 having count(*) >= ${enough}`;
  return { column: 'u.id', source: `(${counted}) u`, where: [] };
}

/**
 * From the blocks, and from the rows of the people in blocks with values that have changed since. Those are found by a list
 * of their ids that is made once: several processes can share what reads the list, and nothing that asks about each mark.
 */
function wordsOfField(leaf: FieldCondition, { context, bounds }: Scope): WordsOfSet[] {
  const definition = context.definitions.get(leaf.field);
  if (!definition) throw new Error(`the field ${leaf.field} is not defined`);
  const { word, join } = wordsOfValues(definition, leaf, context);
  const ofField = `c.field_id = (select f.id from subscriber_field f where f.key = ${context.parameter(leaf.field, 'text')})`;
  return [
    {
      ...{
        block: 'c.block',
        word: bounds ? `${word} & ${maskOf(bounds)}` : word,
        source: `field_block c ${join}`,
      },
      where: [
        ...[ofField, 'c.block not in (select t.block from stale_block t)'],
        ...(bounds ? [`c.block >= ${bounds.from} >> 6`, `c.block <= (${bounds.below} - 1) >> 6`] : []),
      ],
    },
    {
      ...{ block: 's.id >> 6', word: '1::bigint << (s.id & 63)::int', source: 'subscriber s' },
      where: [OF_STALE_BLOCKS, ...within('s.id', bounds), compilePlain(leaf, context)],
    },
  ];
}

const OF_STALE_BLOCKS = `s.id = any (array(
  select (t.block << 6) + place from stale_block t cross join generate_series(0, 63) place))`;

/** The places of a block `c.block` that lie in a range. */
function maskOf({ from, below }: NonNullable<Scope['bounds']>): string {
  return `(case when c.block = ${from} >> 6 then -1::bigint << (${from} & 63)::int else -1 end
    & case when c.block = (${below} - 1) >> 6 then ~((-2)::bigint << ((${below} - 1) & 63)::int) else -1 end)`;
}

/** An expression over the words of columns, each the union of some sets; null words are of blocks with nobody of them. */
function wordsOf(form: NormalForm, columns: FormLeaf[][]): string {
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

function unionOf(leaves: readonly FormLeaf[], columns: FormLeaf[][], is: boolean): string {
  const at = columns.push([...leaves]) - 1;
  return `${is ? '' : '~'}coalesce(y.w${at}, 0)`;
}
