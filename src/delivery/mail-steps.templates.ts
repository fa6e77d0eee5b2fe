import { Output, Tag, TokenKind, type Token, type Template } from 'liquidjs';
import { textOf, type FixedText } from './mail-emitter.js';

/**
 * One piece of a part, in order. Most of a mail is fixed text, tracked links and names from the data; these are written
 * without Liquid, whose generators cost more than all the rest of a mail. What is anything else is Liquid's.
 */
export type MailStep =
  | { kind: 'fixed'; fixed: FixedText }
  | { kind: 'value'; read: ReadText }
  /** `address` gives it escaped. */
  | { kind: 'link'; id: string; address: ReadText }
  | { kind: 'liquid'; template: Template };

type ReadText = (scope: Readonly<Record<string, unknown>>) => string;

/** What these steps need to know of our own link tag. */
export interface LinkLike {
  id: string;
  address: readonly Template[];
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

/**
 * The steps of a template; null where a tag may set variables, since then every value must be read through Liquid.
 */
export function mailSteps(
  templates: readonly Template[],
  {
    fixedOf,
    linkOf,
  }: { fixedOf: (text: string) => FixedText; linkOf: (template: Template) => LinkLike | null },
  everything: Iterable<Template>,
): MailStep[] | null {
  for (const template of everything)
    if (template instanceof Tag && !HARMLESS_TAGS.has(template.name)) return null;
  return templates.map((template) => {
    const text = fixedTextOf(template);
    if (text !== null) return { kind: 'fixed', fixed: fixedOf(text) };
    const link = linkOf(template);
    const address = link && textReader(link.address);
    if (link && address) return { kind: 'link', id: link.id, address };
    const read = template instanceof Output ? readerOf(template) : null;
    return read === null ? { kind: 'liquid', template } : { kind: 'value', read };
  });
}

export function fixedTextOf(template: Template): string | null {
  return 'str' in template && typeof template.str === 'string' ? template.str : null;
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

type Read = (scope: Readonly<Record<string, unknown>>) => unknown;

/** For `{{ a.b | default: 'c' }}` and what is simpler than that; null for everything else. */
function readerOf({ value }: Output): ReadText | null {
  const { postfix } = value.initial as unknown as { postfix: readonly Token[] };
  let read = postfix.length === 1 && postfix[0] ? pathReader(postfix[0]) : null;
  for (const { name, args } of value.filters) {
    if (read === null) return null;
    if (name === 'default') read = withDefault(read, args);
    else if (name === 'escape' && args.length === 0) read = escaped(read);
    else if (name === 'url_encode' && args.length === 0) read = urlEncoded(read);
    else if (name !== 'raw' || args.length > 0) return null;
  }
  const last = read;
  return last && ((scope) => textOf(last(scope)));
}

/** Only own properties, as the engines are told, and none of those names that mean something else to Liquid. */
function pathReader(token: Token): Read | null {
  if (token.kind !== TokenKind.PropertyAccess) return null;
  const { variable, props } = token as Token & { variable?: Token; props: (Token & { content?: unknown })[] };
  const names = props.map(({ kind, content }) => (kind === TokenKind.Word ? content : undefined));
  if (variable !== undefined || names.length === 0 || !names.every(isPlainName)) return null;
  return (scope) => {
    let found: unknown = scope;
    for (const name of names) {
      if (found === null || found === undefined) return found;
      if (!Object.hasOwn(found, name)) return undefined;
      found = (found as Record<string, unknown>)[name];
    }
    return found;
  };
}

function isPlainName(name: unknown): name is string {
  return typeof name === 'string' && /^[a-z_]\w*$/i.test(name) && !/^(?:size|first|last)$/.test(name);
}

function withDefault(read: Read, args: readonly unknown[]): Read | null {
  const argument = args[0] as (Token & { content?: unknown }) | undefined;
  if (args.length !== 1 || argument?.kind !== TokenKind.Quoted || typeof argument.content !== 'string')
    return null;
  const instead = argument.content;
  return (scope) => {
    const value = read(scope);
    const empty = typeof value === 'string' || Array.isArray(value) ? value.length === 0 : isFalsy(value);
    return empty ? instead : value;
  };
}

/** Zero is true to Liquid. */
function isFalsy(value: unknown): boolean {
  return value === false || value === null || value === undefined;
}

function escaped(read: Read): Read {
  return (scope) => {
    const text = textOf(read(scope));
    return SPECIAL.test(text) ? text.replace(/[&<>"']/g, (sign) => ESCAPES[sign] ?? sign) : text;
  };
}

function urlEncoded(read: Read): Read {
  return (scope) => encodeURIComponent(textOf(read(scope))).replaceAll('%20', '+');
}

const SPECIAL = /[&<>"']/;
const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};
