import { Liquid, type LiquidErrors } from 'liquidjs';
import { registerLiquidFilters } from '../../infra/http/liquid-filters.js';
import { LIMITS } from '../mails/liquid.templates.js';
import { unknownVariables, type MailKind } from '../mails/template-variables.js';

/** Every print of something that is not there is an error, unless a default or a condition provides for it. */
const strict = new Liquid({
  strictVariables: true,
  lenientIf: true,
  ownPropertyOnly: true,
  catchAllErrors: true,
  ...LIMITS,
});
registerLiquidFilters(strict);
const lenient = new Liquid({ ownPropertyOnly: true, ...LIMITS });
registerLiquidFilters(lenient);
const plain = new Liquid(LIMITS);

/** In the order of the funnel; the first one that has all of a template's variables is taken for its kind. */
const KINDS: readonly MailKind[] = ['sequence', 'offer', 'confirmation', 'receipt', 'api'];

/** What a template is for, by what it prints. */
export function kindOf(source: string): MailKind {
  const missing = KINDS.map((kind) => ({ kind, count: unknownVariables(source, kind).length }));
  return missing.reduce((best, one) => (one.count < best.count ? one : best)).kind;
}

/** Names of `MAIL_VARIABLES` and beyond that the source uses anywhere, in branches that are not taken as well. */
export function variablesOf(source: string): string[] {
  return plain.globalFullVariablesSync(plain.parse(source));
}

/** Variables that come out as an empty place with these values: printed, not there, and nothing stands in for them. */
export function emptyPlaces(parts: readonly string[], values: Record<string, unknown>): Set<string> {
  const empty = new Set<string>();
  for (const part of parts) {
    try {
      strict.parseAndRenderSync(part, values);
    } catch (error) {
      for (const { message } of (error as LiquidErrors).errors ?? []) {
        const name = /^undefined variable: ([\w.[\]]+)/.exec(message)?.[1];
        if (name !== undefined) empty.add(name);
      }
    }
  }
  return empty;
}

/** Two values that come out different after nearly every filter. */
const MARKS = ['7171717', '8282828'] as const;

/** Whether the value of the variable itself can be read in the mail, beyond deciding which branch is taken. */
export function isPrinted(parts: readonly string[], values: Record<string, unknown>, path: string): boolean {
  const [one, other] = MARKS.map((mark) => {
    const marked = withValue(values, path, mark);
    try {
      return parts.map((part) => lenient.parseAndRenderSync(part, marked)).join('\n');
    } catch {
      return mark;
    }
  });
  return one !== other;
}

function withValue(values: Record<string, unknown>, path: string, value: string): Record<string, unknown> {
  const [head = '', ...rest] = path.split('.');
  if (rest.length === 0) return { ...values, [head]: value };
  const inner = values[head];
  const record = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {};
  return { ...values, [head]: withValue(record, rest.join('.'), value) };
}

/** A copy of the values with nothing at one path: there still, as Liquid counts the names where one called `size` is missing. */
export function without(values: Record<string, unknown>, path: string): Record<string, unknown> {
  const [head = '', ...rest] = path.split('.');
  const value = values[head];
  const inner = rest.length > 0 && typeof value === 'object' && value !== null;
  return { ...values, [head]: inner ? without(value as Record<string, unknown>, rest.join('.')) : undefined };
}

/** The line of the source, from 1, on which a variable first stands inside a tag. */
export function lineOfVariable(source: string, name: string): number | null {
  const at = source.split('\n').findIndex((line) => /\{[{%]/.test(line) && line.includes(name));
  return at < 0 ? null : at + 1;
}
