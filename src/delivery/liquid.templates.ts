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
import { registerLiquidFilters } from '../infra/http/liquid-filters.js';
import { escapeAttribute, linkTags, unescapeAttribute } from './mail-links.js';
import { plainEmitter, type MailEmitter } from './mail-emitter.js';
import { quotedPrintable } from './quoted-printable.js';

/** What becomes of a tracked link: its id and its address, filled in and not escaped, give the address in the mail. */
export type LinkTarget = (linkId: string, url: string) => string;

/**
 * Characters of a source, milliseconds of one mail, and values held by its filters and ranges: what ends a template that
 * would not end by itself. `templates`: a tag such as `include` finds nothing, least of all a file of this machine. */
export const LIMITS = { parseLimit: 1_000_000, renderLimit: 1_000, memoryLimit: 5_000_000, templates: {} };
const LINK_TARGET = Symbol('link target');

/** A part of a mail, parsed: its templates, and its fixed texts in quoted-printable. */
export interface ParsedPart {
  engine: Liquid;
  templates: Template[];
  encoded: ReadonlyMap<string, string>;
}

/** `{% link <id> %}<address, escaped>{% endlink %}`: written by us around the addresses of tracked links. */
class LinkTag extends Tag {
  readonly #id: string;
  readonly #address: Template[] = [];

  constructor(token: TagToken, rest: TopLevelToken[], liquid: Liquid, parser: Parser) {
    super(token, rest, liquid);
    this.#id = token.args.trim();
    parser
      .parseStream(rest)
      .on('tag:endlink', function () {
        this.stop();
      })
      .on('template', (template: Template) => this.#address.push(template))
      .on('end', () => {
        throw new Error('the mark of a link is not closed');
      })
      .start();
  }

  override *render(context: Context, emitter: Emitter): Generator<unknown, void, string> {
    const address = yield this.liquid.renderer.renderTemplates(this.#address, context);
    const target = (context.environments as Record<PropertyKey, unknown>)[LINK_TARGET] as LinkTarget;
    emitter.write(escapeAttribute(target(this.#id, unescapeAttribute(address))));
  }

  *children(): Generator<unknown, Template[]> {
    yield;
    return this.#address;
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

/** Fills in one person's variables; throws where Liquid's limits are passed. */
export function fillIn(
  { engine, templates }: ParsedPart,
  scope: Record<string, unknown>,
  {
    emitter = plainEmitter(),
    linkTarget = (_, url) => url,
  }: { emitter?: MailEmitter; linkTarget?: LinkTarget } = {},
): string {
  const environment: Record<PropertyKey, unknown> = { ...scope, [LINK_TARGET]: linkTarget };
  const context = new Context(environment, engine.options, { sync: true }, { liquid: engine });
  toValueSync(engine.renderer.renderTemplates(templates, context, emitter));
  return emitter.buffer;
}

function engine(options: { outputEscape?: 'escape' }): Liquid {
  const liquid = new Liquid({ ...options, ownPropertyOnly: true, ...LIMITS });
  registerLiquidFilters(liquid);
  liquid.registerTag('link', LinkTag);
  return liquid;
}

function parsePart(liquid: Liquid, source: string): ParsedPart {
  const templates = liquid.parse(source);
  return { engine: liquid, templates, encoded: encodedTexts(templates) };
}

/** Each fixed text of the template, at any depth, with its encoding. */
function encodedTexts(templates: Iterable<Template>): Map<string, string> {
  const found = new Map<string, string>();
  for (const template of templates) {
    if ('str' in template && typeof template.str === 'string')
      found.set(template.str, quotedPrintable(template.str));
    if (!template.children) continue;
    const children = toValueSync<Template[]>(template.children(false, true));
    for (const [text, encoded] of encodedTexts(children)) found.set(text, encoded);
  }
  return found;
}
