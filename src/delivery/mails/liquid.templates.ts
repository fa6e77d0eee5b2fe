import {
  Context,
  Liquid,
  Tag,
  toValueSync,
  type Emitter,
  type Parser,
  type TagToken,
  type Template,
  type TopLevelToken,
} from 'liquidjs';
import { registerLiquidFilters } from '../../infra/http/liquid-filters.js';
import { escapeAttribute, hrefOf, linkTags } from './mail-links.js';
import { PlainEmitter, type FixedText, type MailEmitter } from './mail-emitter.js';
import {
  fixedTextOf,
  mailSteps,
  writeSteps,
  type LinkLike,
  type MailStep,
  type Scope,
} from './mail-steps.templates.js';
import { quotedPrintable } from './quoted-printable.js';
import { withChildren } from '../../values/liquid-tree.js';

/**
 * What becomes of a link: its id and its address, filled in and not escaped, give the address in the mail; null: its words
 * stand there without one.
 */
export type LinkTarget = (linkId: string, url: string) => string | null;

/**
 * Characters of a source, milliseconds of one mail, and values held by its filters and ranges: what ends a template that
 * would not end by itself. `templates`: a tag such as `include` finds nothing, least of all a file of this machine. */
export const LIMITS = { parseLimit: 1_000_000, renderLimit: 1_000, memoryLimit: 5_000_000, templates: {} };
/**
 * A reader's own fields. Of an object that has no `size` Liquid counts the names instead, and a mail about shirts would say
 * "2" to whoever has told no size.
 */
export function readerFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { size: undefined, ...fields };
}

const LINK_TARGET = Symbol('link target');

/** A part of a mail, parsed: its templates, and its fixed texts in quoted-printable. */
export interface ParsedPart {
  engine: Liquid;
  templates: Template[];
  /** Null when all of it is Liquid's. */
  steps: MailStep[] | null;
  fixed: ReadonlyMap<string, FixedText>;
}

/** `{% link <id> %}<address, escaped>{% endlink %}`: written by us in place of the attribute `href`. */
class LinkTag extends Tag implements LinkLike {
  readonly id: string;
  readonly address: Template[] = [];

  constructor(token: TagToken, rest: TopLevelToken[], liquid: Liquid, parser: Parser) {
    super(token, rest, liquid);
    this.id = token.args.trim();
    parser
      .parseStream(rest)
      .on('tag:endlink', function () {
        this.stop();
      })
      .on('template', (template: Template) => this.address.push(template))
      .on('end', () => {
        throw new Error('the mark of a link is not closed');
      })
      .start();
  }

  override *render(context: Context, emitter: Emitter): Generator<unknown, void, string> {
    const address = yield this.liquid.renderer.renderTemplates(this.address, context);
    const target = (context.environments as Record<PropertyKey, unknown>)[LINK_TARGET] as LinkTarget;
    emitter.write(linkAttribute(this.id, address, target));
  }

  *children(): Generator<unknown, Template[]> {
    yield;
    return this.address;
  }
}

/** What a subscriber typed is data: it is escaped, and never read as a template. */
const htmlEngine = engine({ outputEscape: 'escape' });
const textEngine = engine({});

export function parseHtmlPart(markedHtml: string): ParsedPart {
  return parsePart(htmlEngine, linkTags(markedHtml));
}

export function parseTextPart(source: string): ParsedPart {
  return parsePart(textEngine, source);
}

/** The templates of an address when it is one that we mark; else null. */
export function addressOf(template: Template): readonly Template[] | null {
  return template instanceof LinkTag ? template.address : null;
}

/** Fills in one person's variables; throws where Liquid's limits are passed. */
export function fillIn(part: ParsedPart, scope: Record<string, unknown>, linkTarget?: LinkTarget): string {
  return emit(part, { own: scope, outer: null }, new PlainEmitter(), linkTarget);
}

/** As {@link fillIn}, into an emitter. */
export function emit<T>(
  part: ParsedPart,
  scope: Scope,
  emitter: MailEmitter<T>,
  linkTarget: LinkTarget = (_, url) => url,
): T {
  const liquid = liquidRenderer(part, scope, linkTarget, emitter);
  if (part.steps === null) liquid(part.templates);
  else
    writeSteps(part.steps, scope, {
      emitter,
      link: (id, address) => linkAttribute(id, address, linkTarget),
      liquid: (template) => liquid([template]),
      turns: 0,
    });
  return emitter.end();
}

/** One context, with its limits, for all that Liquid does of a part; none where it does nothing. */
function liquidRenderer(
  { engine }: ParsedPart,
  scope: Scope,
  linkTarget: LinkTarget,
  emitter: MailEmitter,
): (templates: Template[]) => void {
  let context: Context | null = null;
  return (templates) => {
    context ??= new Context(
      { ...scope.outer?.own, ...scope.own, [LINK_TARGET]: linkTarget },
      engine.options,
      { sync: true },
      { liquid: engine },
    );
    toValueSync(engine.renderer.renderTemplates(templates, context, emitter));
  };
}

function linkAttribute(id: string, escapedAddress: string, target: LinkTarget): string {
  const address = target(id, hrefOf(escapedAddress));
  return address === null ? '' : `href="${escapeAttribute(address)}"`;
}

function engine(options: { outputEscape?: 'escape' }): Liquid {
  const liquid = new Liquid({ ...options, ownPropertyOnly: true, ...LIMITS });
  registerLiquidFilters(liquid);
  liquid.registerTag('link', LinkTag);
  return liquid;
}

function parsePart(liquid: Liquid, source: string): ParsedPart {
  const templates = liquid.parse(source);
  const everything = [...withChildren(templates)];
  const fixed = new Map<string, FixedText>();
  const fixedOf = (text: string): FixedText => {
    const known = fixed.get(text) ?? { text, encoded: quotedPrintable(text) };
    fixed.set(text, known);
    return known;
  };
  for (const template of everything) {
    const text = fixedTextOf(template);
    if (text !== null) fixedOf(text);
  }
  const linkOf = (template: Template): LinkLike | null => (template instanceof LinkTag ? template : null);
  return { engine: liquid, templates, steps: mailSteps(templates, everything, { fixedOf, linkOf }), fixed };
}
