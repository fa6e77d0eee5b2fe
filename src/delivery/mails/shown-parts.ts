import { decodeHTML } from 'entities';
import { hrefOf } from './mail-links.js';
import { colourOf, contrast, type Colour } from './colour.js';
import { StyleRules, type Screen, type StyledElement } from './style-rules.js';

/** What a reader can see of a mail. */
export interface ShownParts {
  /** All text that is not hidden, with single blanks. */
  text: string;
  /** Each link and why it cannot be seen; null: it can. */
  links: { href: string; hidden: string | null }[];
  /** Words with letters of no height, as in `<mj-raw>` within a column: cells of MJML have none, and its own elements set theirs. */
  flat: string[];
}

interface Frame extends StyledElement {
  hidden: string | null;
  /** Null where it is not known, as of names that are not read, and in front of pictures. */
  colour: Colour | null;
  background: Colour | null;
  /** Layouts set it to 0 around cells that set their own. */
  fontPx: number;
  /** The link this element is, by its place in the list. */
  link: number | null;
}

const VOID = /^(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)$/;
const NOT_SHOWN = /^(?:head|style|script|title|template|noscript)$/;
const TOKEN = /<!--[\s\S]*?(?:-->|$)|<\/?[a-z][^<>]{0,5000}>|[^<]+|</gi;
const TAG = /^<(\/?)([a-z][a-z0-9:-]*)([\s\S]*?)\/?>$/i;
const ATTRIBUTE = /([a-z][a-z0-9:-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/gi;
/** Read by nobody without a glass. */
const SMALLEST_FONT_PX = 5;
/** Black on white has 21, the least that is still read has about 2; below this the two look the same. */
const SAME_COLOUR = 1.25;
/** Of blanks that only hold a place, some count as none. */
const BLANKS = /^(?:[\s\u00ad\u200b-\u200f\u2060\ufeff]|\u034f)*$/;
const WHITE: Colour = [255, 255, 255];
const BLACK: Colour = [0, 0, 0];
const PAGE: Frame = {
  ...{ tag: '', classes: [], id: '', hidden: null, link: null },
  ...{ colour: BLACK, background: WHITE, fontPx: 16 },
};
/** What leaves the colour as it is around. */
const NO_COLOUR = /^(?:transparent|inherit|initial|unset|none|auto|)$|^rgba?\(/;
const PICTURE = /url\(|gradient\(/;

/**
 * Goes through the HTML once, as a mail program does, with those rules of its style sheets that {@link StyleRules} reads.
 * Comments are not shown, those for Outlook alone neither.
 */
export function shownParts(html: string, screen: Screen | null = null): ShownParts {
  const rules = new StyleRules(html, screen);
  const unseenText = (frame: Frame): string | null =>
    tooSmall(frame) ?? (rules.coloursAreKnown ? withoutContrast(frame) : null);
  const links: { href: string; hidden: string | null; shows: boolean }[] = [];
  const page = framed('body', new Map(), { top: PAGE, stack: [], rules });
  const stack: Frame[] = [page];
  let text = '';
  const flat: string[] = [];
  for (const [token] of html.matchAll(TOKEN)) {
    const top = stack.at(-1) ?? page;
    if (token.startsWith('<!--')) continue;
    const [, closing, name = '', rest = ''] = TAG.exec(token) ?? [];
    if (closing === undefined) {
      if (top.hidden !== null || token.trim() === '') continue;
      const unseen = unseenText(top);
      const link = top.link === null ? undefined : links[top.link];
      if (link) {
        link.hidden ??= unseen;
        link.shows ||= unseen === null;
      }
      if (unseen === null) text += ` ${decodeHTML(token)}`;
      else if (top.fontPx === 0 && !BLANKS.test(decodeHTML(token))) flat.push(token.trim());
      continue;
    }
    const tag = name.toLowerCase();
    if (closing === '/') {
      const at = stack.findLastIndex((frame) => frame.tag === tag);
      if (at > 0) stack.splice(at);
      continue;
    }
    const attributes = attributesOf(rest);
    const frame = framed(tag, attributes, { top, stack, rules });
    if (tag === 'a' && attributes.has('href')) {
      frame.link = links.length;
      const href = hrefOf(attributes.get('href') ?? '');
      links.push({ href, hidden: frame.hidden, shows: false });
    }
    const link = frame.link === null ? undefined : links[frame.link];
    if (tag === 'img' && link && frame.hidden === null && !isTiny(attributes)) link.shows = true;
    if (!VOID.test(tag)) stack.push(frame);
  }
  return {
    text: text.replace(/\s+/g, ' ').trim(),
    links: links.map(({ href, hidden, shows }) => ({
      href,
      hidden: shows ? null : (hidden ?? 'there is nothing to see or press in it'),
    })),
    flat,
  };
}

function framed(
  tag: string,
  attributes: ReadonlyMap<string, string>,
  { top, stack, rules }: { top: Frame; stack: readonly Frame[]; rules: StyleRules },
): Frame {
  const classes = (attributes.get('class') ?? '').split(/\s+/).filter((name) => name !== '');
  const element = { tag, classes, id: attributes.get('id') ?? '' };
  const { usual, important } = rules.of(element, stack);
  // Most elements of a hostile mail, and many of any other.
  if (attributes.size === 0 && usual === '' && !NOT_SHOWN.test(tag)) return { ...top, ...element };
  const style = declarations([usual, attributes.get('style') ?? '', important].join(';'));
  const byAttribute = attributes.has('hidden') ? `<${tag}> has the attribute hidden` : null;
  const ownHidden = NOT_SHOWN.test(tag) ? `it stands in <${tag}>` : (byAttribute ?? hiddenBy(style));
  return {
    ...element,
    hidden: top.hidden ?? ownHidden,
    fontPx: fontOf(style.get('font-size'), top.fontPx),
    colour: colourSaid(style.get('color') ?? attributes.get('color'), top.colour),
    background: groundOf(style, attributes, top.background),
    link: top.link,
  };
}

function groundOf(
  style: ReadonlyMap<string, string>,
  attributes: ReadonlyMap<string, string>,
  around: Colour | null,
): Colour | null {
  const said = ['background-color', 'background', 'background-image'].map((name) => style.get(name) ?? '');
  if (attributes.has('background') || said.some((value) => PICTURE.test(value))) return null;
  return colourSaid(said[0] || said[1] || attributes.get('bgcolor'), around);
}

function colourSaid(value: string | undefined, around: Colour | null): Colour | null {
  const found = colourOf(value);
  if (found !== null) return found;
  return NO_COLOUR.test((value ?? '').trim().toLowerCase()) ? around : null;
}

/** Which declaration takes the element out of sight; null when none does. */
function hiddenBy(style: ReadonlyMap<string, string>): string | null {
  const pixels = (name: string): number => lengthOf(style.get(name));
  if (style.get('display') === 'none') return 'display: none';
  if (/^(?:hidden|collapse)$/.test(style.get('visibility') ?? '')) return 'visibility: hidden';
  if (Number(style.get('opacity') ?? '1') < 0.1) return `opacity: ${style.get('opacity')}`;
  for (const name of ['height', 'max-height', 'width', 'max-width'])
    if (pixels(name) <= 1 && style.get('overflow') === 'hidden') return `${name}: ${style.get(name)}`;
  if (pixels('text-indent') < -500) return `text-indent: ${style.get('text-indent')}`;
  return null;
}

function tooSmall({ fontPx }: Frame): string | null {
  return fontPx < SMALLEST_FONT_PX ? `its letters are ${fontPx} pixels high` : null;
}

function withoutContrast({ colour, background }: Frame): string | null {
  if (colour === null || background === null) return null;
  return contrast(colour, background) < SAME_COLOUR ? 'its colour is that of what is behind it' : null;
}

function fontOf(value: string | undefined, around: number): number {
  const [, share = '', unit = ''] = /^(\d*\.?\d+)(em|%)$/.exec(value ?? '') ?? [];
  if (unit !== '') return Number(share) * around * (unit === '%' ? 0.01 : 1);
  const length = lengthOf(value);
  return Number.isFinite(length) ? length : around;
}

/** In CSS pixels; infinite for what is none, such as `100%` or `inherit`. */
function lengthOf(value: string | undefined): number {
  const [, number = '', unit = 'px'] = /^(-?\d*\.?\d+)(px|pt|em|rem)?$/.exec(value ?? '') ?? [];
  if (number === '') return Number.POSITIVE_INFINITY;
  const factor = unit === 'pt' ? 4 / 3 : unit === 'em' || unit === 'rem' ? 16 : 1;
  return Number(number) * factor;
}

function isTiny(attributes: ReadonlyMap<string, string>): boolean {
  const style = declarations(attributes.get('style') ?? '');
  const sizes = ['width', 'height'].map((name) => lengthOf(style.get(name) ?? attributes.get(name)));
  return sizes.some((size) => size <= 1);
}

function attributesOf(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, name = '', double, single, bare] of text.matchAll(ATTRIBUTE))
    found.set(name.toLowerCase(), double ?? single ?? bare ?? '');
  return found;
}

function declarations(style: string): Map<string, string> {
  return new Map(
    style.split(';').flatMap((one) => {
      const colon = one.indexOf(':');
      if (colon < 0) return [];
      const value = one.slice(colon + 1).replace(/!\s*important/i, '');
      return [[one.slice(0, colon).trim().toLowerCase(), value.trim().toLowerCase()] as const];
    }),
  );
}
