import type { FieldDefinition } from '../subscribers/field.js';
import type { OwnerClock } from './days.js';

/** With what "in the last 30 days" counts from. */
export interface CompileOptions extends OwnerClock {
  definitions: ReadonlyMap<string, FieldDefinition>;
  /**
   * Left out: who they are now. Otherwise what came later does not count: no tag, list, purchase, membership, affiliate,
   * sequence, funnel, form, mail, opening or click. What was taken away since is gone, and the subscriber's own row and
   * fields are read as they are: nobody keeps what they were.
   */
  asOf?: Date;
  /** Number of the first parameter. */
  first: number;
}

/** The parameters are filled as conditions are compiled in the context. */
export function contextOf(options: CompileOptions): { context: Context; parameters: unknown[] } {
  const parameters: unknown[] = [];
  const parameter: Parameter = (value, type) => {
    parameters.push(value);
    return `$${options.first + parameters.length - 1}::${type}`;
  };
  return { context: { ...options, parameter }, parameters };
}

type Parameter = (
  value: unknown,
  type: 'text' | 'text[]' | 'timestamptz' | 'jsonb' | 'jsonpath' | 'bigint' | 'float8',
) => string;
export type Context = CompileOptions & { parameter: Parameter };
