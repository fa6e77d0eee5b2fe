import { hrefOf, QUOTED } from './mail-links.js';

/** A style sheet that a mail would load from elsewhere. */
export interface OutsideSheet {
  href: string;
  isFont: boolean;
  /** Of the fonts, as far as they are known. */
  names: string[];
}

const LINK = /<link\b[^<>]{0,1000}>/gi;
const IS_SHEET = /\srel\s*=\s*["']?\s*(?:alternate\s+)?stylesheet/i;
const HREF = new RegExp(`\\shref\\s*=\\s*${QUOTED}`, 'i');
const STYLE = /(<style\b[^<>]*>)([\s\S]*?)(<\/style>)/gi;
/** An address in brackets may have a semicolon in it. */
const IMPORT = /@import\s+(?:url\(\s*["']?([^)"'<>]*)["']?\s*\)|["']([^"'<>]*)["'])[^;{}<>]*;?/gi;
const MJ_FONT = /<mj-font\b[^<>]{0,1000}>/g;
const NAME = /\sname\s*=\s*(?:"([^"]*)"|'([^']*)')/i;
/** Google, Bunny, Adobe, and those who lay them on a server of their own under a name that tells. */
const FONTS = /font|typekit/i;
const FAMILIES = /[?&]family=([^&]*)/g;
/** Where MJML puts them; nothing is left in it. */
const EMPTY = /<!--\[if !mso\]><!-->\s*(?:<style[^<>]*>\s*<\/style>\s*)?<!--<!\[endif\]-->\s*/g;

/**
 * A mail without what loads style sheets from elsewhere, and these (M14): a font's server would be told who reads it and when,
 * and most mail programs load none. `sources`: the MJML, whose `<mj-font>` says what is a font.
 */
export function withoutOutsideStyles(
  html: string,
  sources: readonly string[],
): { html: string; outside: OutsideSheet[] } {
  const named = sources.flatMap(namedFonts);
  const outside = new Map<string, OutsideSheet>();
  const leaveOut = (written: string): string => {
    const href = hrefOf(written);
    const names = named.filter((font) => font.href === href).map(({ name }) => name);
    const isFont = names.length > 0 || FONTS.test(href);
    const all = isFont && names.length === 0 ? familiesIn(href) : names;
    if (href !== '') outside.set(href, { href, isFont, names: [...new Set(all)] });
    return '';
  };
  const kept = html
    .replace(STYLE, (_, start: string, sheet: string, end: string) => {
      const rest = sheet.replace(IMPORT, (__, inBrackets?: string, quoted?: string) =>
        leaveOut((inBrackets ?? quoted ?? '').trim()),
      );
      return `${start}${rest}${end}`;
    })
    .replace(LINK, (tag) => {
      const [, double, single] = HREF.exec(tag) ?? [];
      // Of all other kinds, as `preconnect`, none has a use in a mail.
      return IS_SHEET.test(tag) ? leaveOut(double ?? single ?? '') : '';
    });
  return {
    html: kept.length === html.length ? html : kept.replace(EMPTY, ''),
    outside: [...outside.values()],
  };
}

function namedFonts(source: string): { name: string; href: string }[] {
  return [...source.matchAll(MJ_FONT)].flatMap(([tag]) => {
    const [, double, single] = HREF.exec(tag) ?? [];
    const [, name, other] = NAME.exec(tag) ?? [];
    return [{ name: name ?? other ?? '', href: hrefOf(double ?? single ?? '') }];
  });
}

/** `family=Open+Sans:400,700|Lato` */
function familiesIn(href: string): string[] {
  return [...href.matchAll(FAMILIES)]
    .flatMap(([, families = '']) => families.split(/\||%7C/i))
    .map((family) =>
      family
        .replace(/[:@].*$/, '')
        .replaceAll(/\+|%20/g, ' ')
        .trim(),
    )
    .filter((name) => name !== '');
}
