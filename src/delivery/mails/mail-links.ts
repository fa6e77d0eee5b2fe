import { decodeHTMLAttribute } from 'entities';
import { opensScript, safeClickTarget } from '../../tracking/click-target.js';
import { addressAsRead } from '../../values/url.js';

/** Links that must work untouched: a redirect between a person and their way out is one step too many. */
const UNTOUCHED = /\{\{[^}]*\b(unsubscribeUrl|preferencesUrl|confirmUrl)\b/;
/**
 * Quotation marks in a variable end no attribute: Liquid is done before anybody reads the HTML. Each sign fits one branch,
 * and a variable that holds the beginning of another link none, so that no text takes long.
 */
const IN_LIQUID = String.raw`(?!\{[{%]|href\s*=)[\s\S]`;
const LIQUID = String.raw`\{\{(?:(?!\}\})${IN_LIQUID})*\}\}|\{%(?:(?!%\})${IN_LIQUID})*%\}|\{(?![{%])`;
/** What stands between the quotation marks of an attribute, as two groups. */
export const QUOTED = `(?:"((?:[^"{]|${LIQUID})*)"|'((?:[^'{]|${LIQUID})*)')`;
const HREF = new RegExp(`(<a\\b[^>]{0,1000}?\\shref)\\s*=\\s*${QUOTED}`, 'gi');
const MARKED = new RegExp(
  `\\bhref=(?:"ws-link:(\\d+):((?:[^"{]|${LIQUID})*)"|'ws-link:(\\d+):((?:[^'{]|${LIQUID})*)')`,
  'g',
);
export const HAS_LIQUID = /\{[{%]/;

/** An attribute's value as a browser reads it as an address. The only place that does: saving, checks and mails agree. */
export function hrefOf(attribute: string): string {
  const text = attribute.includes('&') ? decodeHTMLAttribute(attribute) : attribute;
  return addressAsRead(text);
}

/** The addresses of the mail's tracked links, as Liquid, unescaped, each once, in the order of the mail. */
export function linkTemplates(html: string): string[] {
  const found = [...html.matchAll(HREF)]
    .map(([, , double, single]) => hrefOf(double ?? single ?? ''))
    .filter(isTracked);
  return [...new Set(found)];
}

/** Marks each link with its id; `resolveLinks` finds the marks again after the variables are filled in. */
export function markLinks(html: string, idOf: ReadonlyMap<string, string>): string {
  return html.replace(HREF, (whole, before: string, double?: string, single?: string) => {
    const href = double ?? single ?? '';
    const id = idOf.get(hrefOf(href));
    const quote = double === undefined ? "'" : '"';
    return id === undefined ? whole : `${before}=${quote}ws-link:${id}:${href}${quote}`;
  });
}

/**
 * Ids of the marked links that are the same for everybody: a click on them needs no address in its token. An address that
 * no redirect may go to is none of them, so that its link is left as it is.
 */
export function staticLinkIds(marked: string): Set<string> {
  return new Set(
    [...marked.matchAll(MARKED)].flatMap(([, id1, url1 = '', id2, url2 = '']) => {
      const url = id1 === undefined ? url2 : url1;
      return HAS_LIQUID.test(url) || safeClickTarget(hrefOf(url)) === null ? [] : [id1 ?? id2 ?? ''];
    }),
  );
}

/** Links that are judged for each reader, beside those that are marked. */
const ANY_HREF = new RegExp(`([\\s"'/])href\\s*=\\s*(?:${QUOTED}|((?:[^\\s"'>{]|${LIQUID})+))`, 'gi');
const OWN_LINK = /^\{\{-?\s*(?:unsubscribeUrl|preferencesUrl|confirmUrl)\s*-?\}\}$/;
/** Whatever comes behind it. `https:` alone is no address yet. */
const KNOWN_KIND = /^(?:https?:\/\/|(?!https?:)[a-z][a-z0-9+.-]*:)/i;
/** In a mail that is filled in. Looks ahead, as an attribute before it may hold what looks like one. */
const FILLED_HREF = /([\s"'/])href\s*=\s*(?=("[^"]*"|'[^']*'|[^\s"'>]+))/gi;
/** The id of a link that is judged, and not tracked. */
const JUDGED = 'u';

/**
 * Turns every mark into the tag that writes the attribute with the address this recipient gets, or leaves it out. So does
 * any other link whose kind of address only its reader's values tell, or that is of a kind which no mail may have: one of
 * `javascript:` may have been stored before it was refused.
 */
export function linkTags(html: string): string {
  const tracked = html.replace(MARKED, (_, id1?: string, url1?: string, id2?: string, url2?: string) =>
    linkTag(id1 ?? id2 ?? '', url1 ?? url2 ?? ''),
  );
  let count = 0;
  return tracked.replace(
    ANY_HREF,
    (whole, before: string, double?: string, single?: string, bare?: string) => {
      const value = double ?? single ?? bare ?? '';
      return mustBeJudged(value.trim()) ? `${before}${linkTag(`${JUDGED}${++count}`, value)}` : whole;
    },
  );
}

function linkTag(id: string, value: string): string {
  return `{% link ${id} %}${value}{% endlink %}`;
}

function mustBeJudged(value: string): boolean {
  const href = hrefOf(value);
  if (opensScript(href)) return true;
  return HAS_LIQUID.test(href) && !OWN_LINK.test(href) && !KNOWN_KIND.test(href);
}

/** Of {@link linkTags}: the addresses, as Liquid, of those that not all readers have alike or nobody may have, by their ids. */
export function personalLinks(tagged: string): Map<string, string> {
  const found = [...tagged.matchAll(/\{% link (\w+) %\}((?:(?!\{% endlink)[\s\S])*)/g)];
  return new Map(
    found.flatMap(([, id = '', value = '']) =>
      id.startsWith(JUDGED) || HAS_LIQUID.test(value) ? [[id, value] as const] : [],
    ),
  );
}

/** A mail as its reader gets it, without the addresses of links that would run a script, and these. */
export function withoutScriptLinks(html: string): { html: string; leftOut: string[] } {
  const leftOut: string[] = [];
  let [kept, from] = ['', 0];
  for (const { 0: start, 1: before = '', 2: value = '', index } of html.matchAll(FILLED_HREF)) {
    const href = hrefOf(value.replace(/^["']|["']$/g, ''));
    if (index < from || !opensScript(href)) continue;
    leftOut.push(href);
    kept += html.slice(from, index) + before;
    from = index + start.length + value.length;
  }
  return { html: kept + html.slice(from), leftOut };
}

/** Whether an address in a template is another one for each reader. */
export function isPersonal(address: string): boolean {
  return HAS_LIQUID.test(address);
}

/** Whether a link is never tracked. */
export function isJudgedOnly(linkId: string): boolean {
  return linkId.startsWith(JUDGED);
}

/** As it was before `markLinks`. */
export function unmarkLinks(marked: string): string {
  return marked.replace(MARKED, (_, _id1?: string, url1?: string, id2?: string, url2?: string) =>
    id2 === undefined ? `href="${url1}"` : `href='${url2}'`,
  );
}

function isTracked(href: string): boolean {
  if (UNTOUCHED.test(href)) return false;
  return /^https?:\/\//i.test(href) || href.startsWith('{{');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

const NEEDS_ESCAPE = /[&<>"']/;

/** For a value between quotation marks of either kind. */
export function escapeAttribute(text: string): string {
  return NEEDS_ESCAPE.test(text) ? text.replace(/[&<>"']/g, (sign) => ESCAPES[sign] ?? sign) : text;
}
