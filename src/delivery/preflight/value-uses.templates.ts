import {
  filters as liquidFilters,
  IfTag,
  Liquid,
  Output,
  Tag,
  TokenKind,
  UnlessTag,
  type Template,
  type Token,
  type Value,
} from 'liquidjs';
import { alwaysShown } from '../mails/hidden-duties.js';
import { addressOf, parseHtmlPart, parseTextPart } from '../mails/liquid.templates.js';
import { hrefOf, linkTemplates, markLinks } from '../mails/mail-links.js';
import { fixedTextOf, inner, literalOf, postfixOf, type FilterUse } from '../mails/mail-steps.templates.js';
import type { MailTemplate } from '../mails/mjml.templates.js';

/** What a mail does with a variable whose values come to a few kinds, of which one stands for all of its kind. */
export interface PlainUse {
  /** It is compared with these. */
  literals: Set<string | number>;
  /** It is the address of a link. */
  isAddress: boolean;
}

/**
 * Filters that take any text and fail on none; what stands in their arguments is fixed. None that cuts: what is left of one value
 * may be blank.
 */
const HARMLESS = new Set([
  ...['default', 'escape', 'escape_once', 'upcase', 'downcase', 'capitalize', 'strip', 'lstrip', 'rstrip'],
  ...['url_encode', 'append', 'prepend', 'newline_to_br', 'strip_newlines', 'size'],
]);
const COMPARES = new Set(['==', '!=']);
const OPERATORS = new Set([...COMPARES, 'and', 'or', 'not']);
const SILENT = new Set(['comment', '#', 'raw']);
/** Whatever comes behind it, it can be opened. */
const FIXED_START = /^(?:https?:\/\/[^/?#{]+[/?#]|(?:mailto|tel):\s*\S)/i;

const analyser = new Liquid();

class Uses {
  readonly plain = new Map<string, PlainUse>();
  /** Each of their values is one of its own. */
  readonly odd = new Set<string>();

  note(
    name: string,
    { literals = [], isAddress = false }: { literals?: (string | number)[]; isAddress?: boolean },
  ) {
    const use = this.plain.get(name) ?? { literals: new Set<string | number>(), isAddress: false };
    for (const literal of literals) use.literals.add(literal);
    use.isAddress ||= isAddress;
    this.plain.set(name, use);
  }

  noteOdd(templates: Template[]): void {
    for (const name of analyser.globalFullVariablesSync(templates)) this.odd.add(name);
  }
}

/** The mail's variables whose values come to a few kinds; of any other variable each value must be tried. */
export function plainUses(mail: MailTemplate, postalAddress: string): Map<string, PlainUse> {
  // Where what is shown hangs on values, there is no telling which.
  if (!alwaysShown(mail.html, postalAddress)) return new Map();
  const uses = new Uses();
  const marks = linkTemplates(mail.html).map((link, index) => [link, String(index)] as const);
  for (const part of [
    parseTextPart(mail.subject),
    parseTextPart(mail.text),
    parseHtmlPart(markLinks(mail.html, new Map(marks))),
  ])
    walk(part.templates, uses);
  for (const name of uses.odd) uses.plain.delete(name);
  return uses.plain;
}

function walk(templates: readonly Template[], uses: Uses): void {
  for (const template of templates) {
    const address = addressOf(template);
    if (fixedTextOf(template) !== null || (template instanceof Tag && SILENT.has(template.name))) continue;
    if (address !== null) walkAddress(address, uses);
    else if (template instanceof IfTag || template instanceof UnlessTag) walkCondition(template, uses);
    else {
      const name = template instanceof Output ? nameIn(template, HARMLESS) : null;
      if (name === null) uses.noteOdd([template]);
      else uses.note(name, {});
    }
  }
}

function walkAddress(address: readonly Template[], uses: Uses): void {
  const [first] = address;
  if (first !== undefined && FIXED_START.test(hrefOf(fixedTextOf(first) ?? ''))) {
    walk(address, uses);
    return;
  }
  const name = address.length === 1 && first instanceof Output ? nameIn(first, new Set(['default'])) : null;
  if (name === null) uses.noteOdd([...address]);
  else uses.note(name, { isAddress: true });
}

function walkCondition(tag: IfTag | UnlessTag, uses: Uses): void {
  const branches = inner<{ value: Value; templates: Template[] }[]>(tag, 'branches');
  const compared = branches.map(({ value }) => comparedIn(value));
  if (!compared.every((one) => one !== null)) {
    uses.noteOdd([tag]);
    return;
  }
  for (const { names, literals } of compared) for (const name of names) uses.note(name, { literals });
  for (const { templates } of branches) walk(templates, uses);
  walk(inner<Template[] | undefined>(tag, 'elseTemplates') ?? [], uses);
}

/** Null for what is more than a few comparisons with fixed values: two variables may have the same value or not, whatever its kind. */
function comparedIn(value: Value): { names: string[]; literals: (string | number)[] } | null {
  if (value.filters.length > 0) return null;
  const [names, literals]: [string[], (string | number)[]] = [[], []];
  // Of what stands to be compared: whether it is fixed.
  const operands: boolean[] = [];
  for (const token of postfixOf(value)) {
    const [name, literal] = [pathOf(token), literalOf(token)];
    if (name !== null) names.push(name);
    else if (literal !== null) literals.push(literal);
    else if (token.kind === TokenKind.Operator) {
      const { operator = '' } = token as Token & { operator?: string };
      if (!OPERATORS.has(operator)) return null;
      const compared = operator === 'not' ? [operands.pop()] : [operands.pop(), operands.pop()];
      if (COMPARES.has(operator) && !compared.includes(true)) return null;
    } else if (token.kind !== TokenKind.Literal) return null;
    operands.push(name === null && token.kind !== TokenKind.Operator);
  }
  return { names, literals };
}

/** The one variable that it prints, through such filters alone. */
function nameIn({ value }: Output, filters: ReadonlySet<string>): string | null {
  const [token, ...more] = postfixOf(value);
  const isPlain = inner<FilterUse[]>(value, 'filters').every(
    ({ name, args, handler }) =>
      handler === liquidFilters['escape'] ||
      (filters.has(name) && args.every((arg) => !Array.isArray(arg) && literalOf(arg as Token) !== null)),
  );
  return token !== undefined && more.length === 0 && isPlain ? pathOf(token) : null;
}

/** `subscriber.fields.city` */
function pathOf(token: Token): string | null {
  if (token.kind !== TokenKind.PropertyAccess) return null;
  const { variable, props } = token as Token & { variable?: Token; props: (Token & { content?: unknown })[] };
  const names = props.map(({ kind, content }) => (kind === TokenKind.Word ? content : null));
  if (variable !== undefined || !names.every((name) => typeof name === 'string')) return null;
  return names.join('.');
}
