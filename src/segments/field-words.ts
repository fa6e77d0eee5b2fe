import type { FieldDefinition } from '../subscribers/field.js';
import type { Context } from './compile-context.js';
import { compileText, DATED, daysOf, JSON_TYPES } from './compile-field.js';
import type { FieldCondition } from './condition.js';

/**
 * Of `field f` and `s.fields`: the value as text where it fits the type, else null, as it counts for the conditions on
 * rows. Numbers that no double holds cannot have come by any way into the product, and would end the statement.
 */
export const VALUE = `case
    when jsonb_typeof(s.fields -> f.key) is distinct from
      case f.type ${Object.entries(JSON_TYPES)
        .map(([type, json]) => `when '${type}' then '${json}'`)
        .join(' ')} end then null
    when f.type = 'date' and (s.fields ->> f.key) !~ '${DATED}' then null
    when f.type = 'number' and not coalesce((s.fields ->> f.key)::numeric = 0
      or abs((s.fields ->> f.key)::numeric) between 5e-324 and 1.7976931348623157e308, false) then null
    else s.fields ->> f.key end`;

interface Words {
  /** Over `field_block c` and what is joined to it: people of the block; null for none. */
  word: string;
  join: string;
}

/** Everybody in the block who has a value. */
const ALL = 'c.upto[cardinality(c.upto)]';

/**
 * Who meets a condition on an own field, in words. Numbers and days are found by halving the values of a block: to take
 * each value out of it took fifteen times as long. Texts that are compared in other ways are taken out.
 */
export function wordsOfValues({ type }: FieldDefinition, condition: FieldCondition, context: Context): Words {
  const { parameter } = context;
  const number = (value: number): string =>
    `c.upto[width_bucket(${parameter(value, 'float8')}, c.numbers) + 1]`;
  const day = (value: string): string =>
    `c.upto[width_bucket(${parameter(value, 'text')} collate "C", c.texts) + 1]`;
  const text = (value: unknown): string => {
    const at = `array_position(c.texts, ${parameter(String(value), 'text')})`;
    return `coalesce(c.upto[${at} + 1] & ~c.upto[${at}], 0)`;
  };
  const word = (sql: string): Words => ({ word: sql, join: '' });
  switch (condition.op) {
    case 'isSet':
      return word(ALL);
    case 'is':
    case 'isNot': {
      const { value } = condition;
      const equal =
        typeof value === 'number' && type === 'number'
          ? `(${number(value)} & ~${number(below(value))})`
          : text(value);
      return word(condition.op === 'is' ? equal : `(${ALL} & ~${equal})`);
    }
    case 'atMost':
      return word(number(condition.value));
    case 'below':
      return word(number(below(condition.value)));
    case 'above':
      return word(`(${ALL} & ~${number(condition.value)})`);
    case 'atLeast':
      return word(`(${ALL} & ~${number(below(condition.value))})`);
    case 'before':
      return word(day(before(condition.value)));
    case 'after':
      return word(`(${ALL} & ~${day(condition.value)})`);
    case 'withinDays':
    case 'inNextDays': {
      const [operator, from, until] = daysOf(condition, context);
      return word(`(${day(until)} & ~${day(operator === '>' ? from : before(from))})`);
    }
    case 'oneOf':
    case 'contains':
    case 'startsWith':
      return {
        word: `case when ${compileText('u.value', condition, context)} then c.upto[u.at + 1] & ~c.upto[u.at] end`,
        join: 'cross join lateral unnest(c.texts) with ordinality u (value, at)',
      };
  }
}

const BITS = new DataView(new ArrayBuffer(8));

/** The greatest number below another, which a condition without it ends at. */
export function below(value: number): number {
  if (value === 0) return -Number.MIN_VALUE;
  BITS.setFloat64(0, value);
  BITS.setBigInt64(0, BITS.getBigInt64(0) + (value > 0 ? -1n : 1n));
  return BITS.getFloat64(0);
}

/** A text behind all days before a day, and before the day. */
function before(day: string): string {
  const last = day.length - 1;
  return `${day.slice(0, last)}${String.fromCharCode(day.charCodeAt(last) - 1)}~`;
}
