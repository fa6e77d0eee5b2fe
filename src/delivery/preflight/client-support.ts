import type { OutsideSheet } from '../mails/outside-styles.js';
import { urlOf } from '../../values/url.js';

/**
 * What a mail program leaves out so that a mail falls apart there, not what it only shows plainer.
 *
 * A list of our own, and not a package with the data of caniemail.com: `caniemail` 2 runs on Node.js 22 and newer alone,
 * and `@jsx-email/doiuse-email` 1 holds the data of 2024, knows neither calc() nor AVIF, and has about 190 errors and 1,100
 * warnings against each of our own mails (for class selectors, border-radius, role=), which would be read by nobody. What
 * matters is whether the mail still works, and that the data does not say. Worth another look once Node.js 20 is given up.
 */
interface Feature {
  name: string;
  /** In the HTML; also finds the line in MJML, where some are written otherwise. */
  found: RegExp;
  /** Programs without it, by the tables of caniemail.com. */
  missingIn: string;
  /** In the HTML with what is for Outlook alone: it is done for it in another way. */
  unless?: RegExp;
}

const OUTLOOK = 'Outlook for Windows';

const FEATURES: readonly Feature[] = [
  {
    name: 'display: flex',
    found: /display\s*:\s*(?:inline-)?flex/i,
    missingIn: `${OUTLOOK}, GMX and WEB.DE webmail`,
  },
  { name: 'display: grid', found: /display\s*:\s*(?:inline-)?grid/i, missingIn: `Gmail, ${OUTLOOK}, Yahoo` },
  {
    name: 'position: absolute or fixed',
    found: /position\s*:\s*(?:absolute|fixed|sticky)/i,
    missingIn: `Gmail, ${OUTLOOK}, Yahoo`,
  },
  { name: 'float', found: /[\s;"'{]float\s*:\s*(?:left|right)/i, missingIn: OUTLOOK },
  {
    name: 'transform',
    found: /[\s;"'{]transform\s*:\s*(?!none)/i,
    missingIn: `Gmail, Outlook.com, ${OUTLOOK}, Yahoo`,
  },
  {
    name: 'animation',
    found: /[\s;"'{]animation(?:-name)?\s*:/i,
    missingIn: `Gmail, Outlook.com, ${OUTLOOK}, Yahoo`,
  },
  {
    name: 'CSS variables',
    found: /var\(\s*--/i,
    missingIn: `Gmail, Outlook.com, ${OUTLOOK}, Yahoo`,
  },
  { name: 'object-fit', found: /object-fit\s*:/i, missingIn: `${OUTLOOK}, Yahoo, GMX and WEB.DE webmail` },
  {
    name: 'background-image',
    found: /background(?:-image)?\s*:[^;"'}]*url\(/i,
    missingIn: OUTLOOK,
    // Drawn for Outlook alone, as MJML does of sections and heroes.
    unless: /<v:(?:fill|image)\b/i,
  },
  { name: 'columns', found: /[\s;"'{]column(?:s|-count)\s*:/i, missingIn: `${OUTLOOK}, Yahoo` },
  { name: 'aspect-ratio', found: /[\s;"'{]aspect-ratio\s*:/i, missingIn: `Gmail, ${OUTLOOK}, Yahoo` },
  { name: '<audio>', found: /<audio\b/i, missingIn: `Gmail, ${OUTLOOK}, Yahoo` },
  { name: '<video>', found: /<video\b/i, missingIn: `Gmail, Outlook.com, ${OUTLOOK}, Yahoo` },
  { name: '<picture>', found: /<picture\b/i, missingIn: `Gmail, Outlook.com, ${OUTLOOK}, Yahoo` },
  { name: '<svg>', found: /<svg\b/i, missingIn: `Gmail, Outlook.com, ${OUTLOOK}, Yahoo` },
  {
    name: 'an SVG picture',
    found: /<img\b[^<>]{0,1000}\bsrc\s*=\s*["'][^"']+\.svg\b/i,
    missingIn: `Gmail, ${OUTLOOK}`,
  },
  {
    name: 'a part that opens when it is pressed',
    found: /<input\b[^<>]{0,1000}\btype\s*=\s*["']?(?:checkbox|radio)\b|<mj-(?:accordion|carousel|navbar)\b/i,
    missingIn: `Gmail, Outlook.com, ${OUTLOOK}, Yahoo`,
  },
  { name: 'a web font (@font-face)', found: /@font-face\b/i, missingIn: `Gmail, ${OUTLOOK}, Yahoo` },
  { name: 'a WebP picture', found: /<img\b[^<>]{0,1000}\bsrc\s*=\s*["'][^"']+\.webp\b/i, missingIn: OUTLOOK },
];

/** What no mail may hold (M14): stripped by some, taken for an attack by others. */
const FORBIDDEN: readonly { name: string; found: RegExp }[] = [
  {
    name: '<form>',
    // What MJML opens and closes a menu with is no form: its boxes send nothing.
    found: /<(?:form|select|textarea)\b|<input\b(?![^<>]{0,1000}\btype\s*=\s*["']?(?:checkbox|radio)\b)/i,
  },
  { name: '<script>', found: /<script\b/i },
  { name: '<iframe>', found: /<(?:iframe|object|embed|applet)\b/i },
  { name: 'an event handler', found: /<[a-z][^<>]{0,1000}\son[a-z]+\s*=/i },
  {
    name: 'an outside style sheet',
    // In a version of before these were left out.
    found: /<link\b[^<>]{0,1000}\brel\s*=\s*["']?stylesheet|@import\b/i,
  },
  { name: 'a data: picture', found: /<img\b[^<>]{0,1000}\bsrc\s*=\s*["']\s*data:/i },
  { name: 'an automatic reload', found: /<meta\b[^<>]{0,1000}http-equiv\s*=\s*["']?refresh/i },
];

interface SupportNote {
  level: 'warn' | 'fail';
  message: string;
  /** To find the line in the source. */
  found: RegExp;
}

/** Of style sheets that were left out of this HTML, what readers see in their place. */
export function outsideNotes(outside: readonly OutsideSheet[], html: string): SupportNote[] {
  return outside.map(({ href, isFont, names }) => {
    const found = new RegExp([href, href.replaceAll('&', '&amp;')].map(literally).join('|'));
    const host = urlOf(href)?.host ?? href.slice(0, 80);
    if (!isFont)
      return {
        level: 'fail',
        message: `the style sheet ${href} is not loaded: none from elsewhere belongs in a mail, and most programs leave it out; write what the mail needs of it into <mj-style>`,
        found,
      };
    const lonely = names.filter((name) => standsAlone(name, html));
    const next =
      lonely.length === 0
        ? 'Readers see the next one of its font-family'
        : `No other font stands behind it: write font-family="${lonely[0]}, Arial, sans-serif"`;
    return {
      level: 'warn',
      message: `the web font${names.map((name) => ` ${name}`).join(',')} is not loaded: ${host} would be told who reads the mail, and Gmail, ${OUTLOOK} and Yahoo show none. ${next}; to show it elsewhere, put it on your own server and name it by @font-face in <mj-style>`,
      found,
    };
  });
}

/** Whether some words have this font and no other. */
function standsAlone(font: string, html: string): boolean {
  const name = font.toLowerCase();
  return [...html.matchAll(/font-family\s*:\s*([^;"<>{}]{0,300})/gi)].some(
    ([, families = '']) =>
      families
        .replace(/['"]|!important/gi, '')
        .trim()
        .toLowerCase() === name,
  );
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** What of the HTML some programs leave out, and what must not stand in a mail at all. */
export function supportNotes(html: string): SupportNote[] {
  const shown = withoutConditionals(html);
  return [
    ...FORBIDDEN.filter(({ found }) => found.test(shown)).map(({ name, found }): SupportNote => ({
      level: 'fail',
      message: `${name} does not belong in a mail`,
      found,
    })),
    ...FEATURES.filter(({ found, unless }) => found.test(shown) && unless?.test(html) !== true).map(
      ({ name, missingIn, found }): SupportNote => ({
        level: 'warn',
        message: `${name} is left out by ${missingIn}`,
        found,
      }),
    ),
  ];
}

/**
 * Without the comments that are for Outlook alone, which knows what is in them. Of `<!--[if !mso]><!-->` all the others
 * read what follows: MJML puts the style sheets of web fonts there.
 */
function withoutConditionals(html: string): string {
  const lower = html.toLowerCase();
  let kept = '';
  for (let at = 0; ;) {
    const start = lower.indexOf('<!--[if ', at);
    const open = start < 0 ? -1 : lower.indexOf(']>', start);
    const end = open < 0 ? -1 : lower.indexOf('<![endif]-->', open);
    if (end < 0) return kept + html.slice(at);
    const isForAll = lower.startsWith('<!-->', open + 2) || lower.startsWith('-->', open + 2);
    kept += html.slice(at, start);
    if (isForAll) kept += html.slice(lower.indexOf('>', open + 2) + 1, end);
    at = end + '<![endif]-->'.length;
  }
}
