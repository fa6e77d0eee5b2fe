import { escapeAttribute, QUOTED, HAS_LIQUID } from './mail-links.js';
import { shownParts, type ShownParts } from './shown-parts.js';

/** What readers of a marketing mail cannot see, though the law wants it shown (CAN-SPAM 15 USC 7704(a)(5)). */
export interface HiddenDuty {
  what: 'way out' | 'address';
  message: string;
}

interface Duties {
  unsubscribeUrl: string;
  postalAddress: string;
}

/** Of a mail as one reader gets it; [] when nothing is hidden. */
export function hiddenDuties(shown: ShownParts, { unsubscribeUrl, postalAddress }: Duties): HiddenDuty[] {
  const ways = shown.links.filter(({ href }) => leadsTo(href, unsubscribeUrl));
  const hidden: HiddenDuty[] = [];
  if (ways.every((way) => way.hidden !== null)) {
    const why = ways[0]?.hidden ?? 'it stands in a comment, or is no link';
    hidden.push({ what: 'way out', message: `readers cannot see the link to unsubscribe: ${why}` });
  }
  if (!flat(shown.text).includes(flat(postalAddress)))
    hidden.push({
      what: 'address',
      message: 'readers cannot see the postal address: it is hidden, or split up',
    });
  return hidden;
}

/** Also with something of the owner's behind it, which changes nothing about where it leads. */
function leadsTo(href: string, url: string): boolean {
  return href === url || (href.startsWith(url) && /[?#&]/.test(href.charAt(url.length)));
}

/** With single blanks, in lower case. */
export function flat(words: string): string {
  return words.replace(/\s+/g, ' ').trim().toLowerCase();
}

const WAY_OUT = /\{\{-?\s*unsubscribeUrl\s*-?\}\}/g;
const ADDRESS = /\{\{-?\s*sender\.postalAddress\s*-?\}\}/g;
const STAND_IN = 'https://unsubscribe.invalid/';
const SHEET = /<style\b[^<>]*>[\s\S]*?(?:<\/style>|$)/gi;
const TAG = /<[a-z][^<>]{0,5000}>/gi;
const PRINTS_HTML = /\|\s*raw\b/;
/** Attributes that hide nothing, whatever is in them. */
const HARMLESS = new RegExp(
  `\\s(?:href|src|alt|title|aria-[a-z]+|role|lang|dir|id|name|target|rel)\\s*=\\s*${QUOTED}`,
  'gi',
);
const BLOCK = /^(?:if|unless|case|for|tablerow|capture|comment|raw)$/;

/**
 * Whether every reader sees both, whatever is known of them: then no mail needs to be looked at. `html` is Liquid. They must
 * stand outside of all conditions, and nothing about looks may hang on a variable.
 */
export function alwaysShown(html: string, postalAddress: string): boolean {
  if (printsHtml(html) || looksVary(html)) return false;
  const filled = html.replace(WAY_OUT, STAND_IN).replace(ADDRESS, () => escapeAttribute(postalAddress));
  // In the second an element that begins in a condition is not there, in the first its end may be missing.
  return [filled, withoutBlocks(filled)].every(
    (one) => hiddenDuties(shownParts(one), { unsubscribeUrl: STAND_IN, postalAddress }).length === 0,
  );
}

/** Whether what a reader has may be read as HTML. */
export function printsHtml(template: string): boolean {
  return PRINTS_HTML.test(template);
}

function looksVary(html: string): boolean {
  if ([...html.matchAll(SHEET)].some(([sheet]) => HAS_LIQUID.test(sheet))) return true;
  return [...html.matchAll(TAG)].some(([tag]) => HAS_LIQUID.test(tag.replace(HARMLESS, '')));
}

function withoutBlocks(html: string): string {
  let [depth, kept] = [0, ''];
  for (const part of html.split(/(\{%[^%]{0,5000}%\})/)) {
    const [, name = ''] = /^\{%-?\s*(\w+)/.exec(part) ?? [];
    if (BLOCK.test(name)) depth++;
    else if (name.startsWith('end')) depth--;
    else if (depth <= 0) kept += part;
  }
  return kept;
}
