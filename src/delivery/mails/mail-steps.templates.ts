import {
  filters as liquidFilters,
  ForTag,
  IfTag,
  Output,
  Tag,
  TokenKind,
  UnlessTag,
  type Token,
  type Template,
  type Value,
} from 'liquidjs';
import { textOf, type FixedText, type MailEmitter } from './mail-emitter.js';
import { escapeAttribute } from './mail-links.js';

/** Variables, those of a loop before those around it. */
export interface Scope {
  own: Readonly<Record<string, unknown>>;
  outer: Scope | null;
}

type Read = (scope: Scope) => unknown;
type ReadText = (scope: Scope) => string;
type Test = (scope: Scope) => boolean;

/**
 * Writes one piece of a part, in order. Most of a mail is fixed text, tracked links, names from the data, and plain loops and
 * conditions over them; these are written without Liquid, whose generators cost more than all the rest of a mail. What is
 * anything else is Liquid's. Functions, as objects of many shapes cost more to tell apart than to write.
 */
export type MailStep = (scope: Scope, to: StepWriter) => void;

/** What these steps need to know of our own link tag. */
export interface LinkLike {
  id: string;
  address: readonly Template[];
}

interface Helpers {
  fixedOf: (text: string) => FixedText;
  linkOf: (template: Template) => LinkLike | null;
}

/** These change no variable that what stands behind them could read. */
const HARMLESS_TAGS: ReadonlySet<string> = new Set([
  'link',
  'if',
  'unless',
  'case',
  'for',
  'comment',
  '#',
  'raw',
]);
/** Loops in loops over a person's data must come to an end soon; Liquid has a time limit for its own. */
const MOST_TURNS = 100_000;

/**
 * The steps of a template; null where a tag may set variables, since then every value must be read through Liquid.
 * `everything` is all of `templates` at any depth.
 */
export function mailSteps(
  templates: readonly Template[],
  everything: Iterable<Template>,
  helpers: Helpers,
): MailStep[] | null {
  for (const template of everything)
    if (template instanceof Tag && !HARMLESS_TAGS.has(template.name)) return null;
  return templates.map(
    (template): MailStep =>
      stepOf(template, helpers) ??
      ((_, to) => {
        to.liquid(template);
      }),
  );
}

export function fixedTextOf(template: Template): string | null {
  return 'str' in template && typeof template.str === 'string' ? template.str : null;
}

/** Where steps are written. `liquid` writes one that is Liquid's. */
interface StepWriter {
  emitter: MailEmitter;
  link: (id: string, escapedAddress: string) => string;
  liquid: (template: Template) => void;
  turns: number;
}

export function writeSteps(steps: readonly MailStep[], scope: Scope, to: StepWriter): void {
  for (const step of steps) step(scope, to);
}

interface Loop {
  variable: string;
  items: Read;
  steps: MailStep[];
  otherwise: MailStep[];
}

function writeLoop({ variable, items, steps, otherwise }: Loop, outer: Scope, to: StepWriter): void {
  const list = listOf(items(outer));
  if (list.length === 0) return writeSteps(otherwise, outer, to);
  for (const [index0, item] of list.entries()) {
    if (++to.turns > MOST_TURNS)
      throw new Error(`the template's loops go on for more than ${MOST_TURNS} turns`);
    const { length } = list;
    const forloop = {
      index: index0 + 1,
      index0,
      first: index0 === 0,
      last: index0 === length - 1,
      rindex: length - index0,
      rindex0: length - index0 - 1,
      length,
    };
    writeSteps(steps, { own: { forloop, [variable]: item }, outer }, to);
  }
}

/** As Liquid goes through a value. */
function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return value === '' ? [] : [value];
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

/** Null for what only Liquid can do. */
function stepOf(template: Template, helpers: Helpers): MailStep | null {
  const text = fixedTextOf(template);
  if (text !== null) return fixedStep(helpers.fixedOf(text));
  const link = helpers.linkOf(template);
  if (link) {
    const address = textReader(link.address);
    return address && ((scope, to) => to.emitter.writeText(to.link(link.id, address(scope))));
  }
  if (template instanceof Output) {
    const read = readerOf(template);
    return read && ((scope, to) => to.emitter.writeText(read(scope)));
  }
  if (template instanceof IfTag || template instanceof UnlessTag) return choiceOf(template, helpers);
  return template instanceof ForTag ? loopOf(template, helpers) : null;
}

function fixedStep(fixed: FixedText): MailStep {
  return (_, to) => to.emitter.writeFixed(fixed);
}

function choiceOf(tag: IfTag | UnlessTag, helpers: Helpers): MailStep | null {
  const given = inner<{ value: Value; templates: Template[] }[]>(tag, 'branches');
  const elseTemplates = inner<Template[] | undefined>(tag, 'elseTemplates') ?? [];
  const branches = given.map(({ value, templates }, index) => {
    const test = testOf(value);
    const steps = stepsOf(templates, helpers);
    if (test === null || steps === null) return null;
    const turned = index === 0 && tag instanceof UnlessTag;
    return { test: turned ? (scope: Scope): boolean => !test(scope) : test, steps };
  });
  const otherwise = stepsOf(elseTemplates, helpers);
  if (otherwise === null || !branches.every((branch) => branch !== null)) return null;
  return (scope, to) => writeSteps(branches.find(({ test }) => test(scope))?.steps ?? otherwise, scope, to);
}

function loopOf(tag: ForTag, helpers: Helpers): MailStep | null {
  const { hash: options } = inner<{ hash: Record<string, unknown> }>(tag, 'hash');
  const items = Object.keys(options).length === 0 ? pathReader(inner<Token>(tag, 'collection')) : null;
  const steps = stepsOf(inner<Template[]>(tag, 'templates'), helpers);
  const otherwise = stepsOf(inner<Template[]>(tag, 'elseTemplates'), helpers);
  if (items === null || steps === null || otherwise === null) return null;
  const loop = { variable: inner<string>(tag, 'variable'), items, steps, otherwise };
  return (scope, to) => writeLoop(loop, scope, to);
}

function stepsOf(templates: readonly Template[], helpers: Helpers): MailStep[] | null {
  const steps = templates.map((template) => stepOf(template, helpers));
  return steps.every((step) => step !== null) ? steps : null;
}

/** What Liquid's own classes keep for themselves: its version is pinned, and the tests compare what comes out. */
export function inner<T>(of: object, name: string): T {
  return Reflect.get(of, name) as T;
}

/** For fixed texts and simple values in a row. */
function textReader(templates: readonly Template[]): ReadText | null {
  const reads = templates.map((template): ReadText | null => {
    const text = fixedTextOf(template);
    if (text !== null) return () => text;
    return template instanceof Output ? readerOf(template) : null;
  });
  if (!reads.every((read) => read !== null)) return null;
  const [only] = reads;
  if (only && reads.length === 1) return only;
  return (scope) => reads.map((read) => read(scope)).join('');
}

export interface FilterUse {
  name: string;
  args: readonly unknown[];
  handler: unknown;
}

/** For `{{ a.b | default: 'c' }}` and what is simpler than that. */
function readerOf({ value }: Output): ReadText | null {
  const postfix = postfixOf(value);
  let read = postfix.length === 1 && postfix[0] ? pathReader(postfix[0]) : null;
  for (const { name, args, handler } of inner<FilterUse[]>(value, 'filters')) {
    if (read === null) return null;
    if (name === 'default') read = withDefault(read, args);
    // The engine's own escaping of every output has a function for its name.
    else if (handler === liquidFilters['escape'] && args.length === 0) read = escaped(read);
    else if (name === 'url_encode' && args.length === 0) read = urlEncoded(read);
    else if (name !== 'raw' || args.length > 0) return null;
  }
  const last = read;
  return last && ((scope) => textOf(last(scope)));
}

/** For `a.b`, and for `a.b == 'c'` with any comparison to a text or a number. */
function testOf(value: Value): Test | null {
  const [left, right, operator, ...more] = postfixOf(value);
  if (value.filters.length > 0 || left === undefined || more.length > 0) return null;
  const read = pathReader(left);
  if (read === null) return null;
  if (right === undefined) return (scope) => !isFalsy(read(scope));
  const wanted = literalOf(right);
  const compare = COMPARISONS[(operator as (Token & { operator?: string }) | undefined)?.operator ?? ''];
  if (wanted === null || compare === undefined) return null;
  return (scope) => compare(read(scope) as never, wanted as never);
}

/** As JavaScript compares, which is what Liquid leaves it to. */
const COMPARISONS: Readonly<Record<string, (left: never, right: never) => boolean>> = {
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
  '>': (left, right) => left > right,
  '<': (left, right) => left < right,
  '>=': (left, right) => left >= right,
  '<=': (left, right) => left <= right,
};

export function postfixOf({ initial }: Value): readonly Token[] {
  return inner<readonly Token[]>(initial, 'postfix');
}

export function literalOf(token: Token): string | number | null {
  const { content } = token as Token & { content?: unknown };
  if (token.kind === TokenKind.Quoted && typeof content === 'string') return content;
  return token.kind === TokenKind.Number && typeof content === 'number' ? content : null;
}

/** Only own properties, as the engines are told, and none of those names that mean something else to Liquid. */
function pathReader(token: Token): Read | null {
  if (token.kind !== TokenKind.PropertyAccess) return null;
  const { variable, props } = token as Token & { variable?: Token; props: (Token & { content?: unknown })[] };
  const [root, ...names] = props.map(({ kind, content }) => (kind === TokenKind.Word ? content : undefined));
  if (variable !== undefined || !isPlainName(root)) return null;
  const loopWord = root === 'forloop' && names.length === 1 && (names[0] === 'first' || names[0] === 'last');
  if (!names.every((name): name is string => isPlainName(name) || loopWord)) return null;
  return (scope) => {
    let found = variableOf(scope, root);
    for (const name of names) {
      if (found === null || found === undefined) return found;
      if (!Object.hasOwn(found, name)) return undefined;
      found = (found as Record<string, unknown>)[name];
    }
    return found;
  };
}

function variableOf(scope: Scope, name: string): unknown {
  for (let place: Scope | null = scope; place !== null; place = place.outer)
    if (Object.hasOwn(place.own, name)) return place.own[name];
  return undefined;
}

function isPlainName(name: unknown): name is string {
  return typeof name === 'string' && /^[a-z_]\w*$/i.test(name) && !/^(?:size|first|last)$/.test(name);
}

function withDefault(read: Read, args: readonly unknown[]): Read | null {
  const instead = args.length === 1 ? literalOf(args[0] as Token) : null;
  if (instead === null) return null;
  return (scope) => {
    const value = read(scope);
    const empty = typeof value === 'string' || Array.isArray(value) ? value.length === 0 : isFalsy(value);
    return empty ? instead : value;
  };
}

/** Zero and an empty text are true to Liquid. */
function isFalsy(value: unknown): boolean {
  return value === false || value === null || value === undefined;
}

function escaped(read: Read): Read {
  return (scope) => escapeAttribute(textOf(read(scope)));
}

function urlEncoded(read: Read): Read {
  return (scope) => encodeURIComponent(textOf(read(scope))).replaceAll('%20', '+');
}
