import { decodeHTMLAttribute } from 'entities';
import { safeClickTarget } from '../../tracking/click-target.js';
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
const HAS_LIQUID = /\{[{%]/;

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

/** Turns every mark into the tag that the renderer fills in with the address this recipient gets. */
export function linkTags(html: string): string {
  return html.replace(MARKED, (_, id1?: string, url1?: string, id2?: string, url2?: string) => {
    const quote = id1 === undefined ? "'" : '"';
    return `href=${quote}{% link ${id1 ?? id2} %}${url1 ?? url2}{% endlink %}${quote}`;
  });
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
