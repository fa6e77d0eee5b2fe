import { decodeHTML } from 'entities';
import { hrefOf } from './mail-links.js';
import { colourOf, contrast, type Colour } from './colour.js';

/** What a reader can see of a mail. */
export interface ShownParts {
  /** All text that is not hidden, with single blanks. */
  text: string;
  /** Each link and why it cannot be seen; null: it can. */
  links: { href: string; hidden: string | null }[];
}

interface Frame {
  tag: string;
  hidden: string | null;
  colour: Colour;
  background: Colour;
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
const WHITE: Colour = [255, 255, 255];
const BLACK: Colour = [0, 0, 0];
const PAGE: Frame = { tag: '', hidden: null, colour: BLACK, background: WHITE, fontPx: 16, link: null };

/** What style sheets have rules of their own for: a small screen, or the dark mode of the mail program. */
export type Screen = 'phone' | 'dark';

const MEDIA: Readonly<Record<Screen, RegExp>> = {
  phone: /max-(?:device-)?width/i,
  dark: /prefers-color-scheme\s*:\s*dark/i,
};

/**
 * Goes through the HTML once, as a mail program does without its style sheets but for plain `.class { … }` rules, with those
 * for one kind of screen where it is named. Comments are not shown, those for Outlook alone neither.
 */
export function shownParts(html: string, screen: Screen | null = null): ShownParts {
  const classes = classRules(html, screen);
  const unseenText = (frame: Frame): string | null =>
    tooSmall(frame) ?? (classes.groundIsKnown ? withoutContrast(frame) : null);
  const links: { href: string; hidden: string | null; shows: boolean }[] = [];
  const stack: Frame[] = [PAGE];
  let text = '';
  for (const [token] of html.matchAll(TOKEN)) {
    const top = stack.at(-1) ?? PAGE;
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
      continue;
    }
    const tag = name.toLowerCase();
    if (closing === '/') {
      const at = stack.findLastIndex((frame) => frame.tag === tag);
      if (at > 0) stack.splice(at);
      continue;
    }
    const attributes = attributesOf(rest);
    const frame = framed(tag, attributes, { top, classes });
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
  };
}

function framed(
  tag: string,
  attributes: ReadonlyMap<string, string>,
  { top, classes }: { top: Frame; classes: ClassRules },
): Frame {
  // Most elements of a hostile mail, and many of any other.
  if (attributes.size === 0 && !NOT_SHOWN.test(tag)) return { ...top, tag };
  const names = (attributes.get('class') ?? '').split(/\s+/);
  const of = (rules: ReadonlyMap<string, string>): string[] => names.map((one) => rules.get(one) ?? '');
  const style = declarations(
    [...of(classes.usual), attributes.get('style') ?? '', ...of(classes.important)].join(';'),
  );
  const said = style.get('background-color') ?? style.get('background') ?? attributes.get('bgcolor');
  const byAttribute = attributes.has('hidden') ? `<${tag}> has the attribute hidden` : null;
  const ownHidden = NOT_SHOWN.test(tag) ? `it stands in <${tag}>` : (byAttribute ?? hiddenBy(style));
  return {
    tag,
    hidden: top.hidden ?? ownHidden,
    fontPx: fontOf(style.get('font-size'), top.fontPx),
    colour: colourOf(style.get('color') ?? attributes.get('color')) ?? top.colour,
    background: colourOf(said) ?? top.background,
    link: top.link,
  };
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

interface ClassRules {
  usual: ReadonlyMap<string, string>;
  /** Of the screen alone: they go before what an element says itself. */
  important: ReadonlyMap<string, string>;
  /** Not where the dark mode sets what is behind the words by a selector that is not read, as `body` or `td`. */
  groundIsKnown: boolean;
}

/** Of `.name { … }` alone, and of what is for some screens only that of this one. */
function classRules(html: string, screen: Screen | null): ClassRules {
  const usual = new Map<string, string>();
  const important = new Map<string, string>();
  let groundIsKnown = true;
  for (const [, sheet = ''] of html.matchAll(/<style\b[^<>]*>([\s\S]*?)<\/style>/gi)) {
    addRules(usual, sheet.replace(AT_RULE, ''));
    if (screen === null) continue;
    for (const [block, query = ''] of sheet.matchAll(AT_RULE))
      if (MEDIA[screen].test(query)) {
        const inner = block.slice(block.indexOf('{') + 1, -1);
        addRules(usual, inner);
        if (screen === 'dark' && setsOtherGround(inner)) groundIsKnown = false;
        addRules(important, inner, (one) => /!\s*important/i.test(one));
      }
  }
  return { usual, important, groundIsKnown };
}

function setsOtherGround(sheet: string): boolean {
  return [...sheet.matchAll(RULE)].some(
    ([, names = '', body = '']) =>
      /(?:^|[\s;/])background(?:-color)?\s*:/i.test(body) &&
      names.split(',').some((name) => !CLASS.test(name)),
  );
}

const RULE = /([^{}]*)\{([^{}]*)\}/g;
/** The one kind of selector that is read. */
const CLASS = /^\s*\.[\w-]+\s*$/;
const AT_RULE = /@([^{}]*)\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}/g;

function addRules(
  rules: Map<string, string>,
  sheet: string,
  wanted: (declaration: string) => boolean = () => true,
): void {
  for (const [, names = '', body = ''] of sheet.matchAll(RULE))
    for (const name of names.split(','))
      if (CLASS.test(name)) {
        const key = name.trim().slice(1);
        rules.set(key, [rules.get(key) ?? '', ...body.split(';').filter(wanted)].join(';'));
      }
}
