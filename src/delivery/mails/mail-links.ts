/** Links that must work untouched: a redirect between a person and their way out is one step too many. */
const UNTOUCHED = /\{\{[^}]*\b(unsubscribeUrl|preferencesUrl|confirmUrl)\b/;
const HREF = /(<a\b[^>]{0,1000}?\shref=)(?:"([^"]*)"|'([^']*)')/gi;
const MARKED = /\bhref=(?:"ws-link:(\d+):([^"]*)"|'ws-link:(\d+):([^']*)')/g;

/** The addresses of the mail's tracked links, as Liquid, unescaped, each once, in the order of the mail. */
export function linkTemplates(html: string): string[] {
  const found = [...html.matchAll(HREF)]
    .map(([, , double, single]) => unescapeAttribute(double ?? single ?? ''))
    .filter(isTracked);
  return [...new Set(found)];
}

/** Marks each link with its id; `resolveLinks` finds the marks again after the variables are filled in. */
export function markLinks(html: string, idOf: ReadonlyMap<string, string>): string {
  return html.replace(HREF, (whole, before: string, double?: string, single?: string) => {
    const href = double ?? single ?? '';
    const id = idOf.get(unescapeAttribute(href));
    const quote = double === undefined ? "'" : '"';
    return id === undefined ? whole : `${before}${quote}ws-link:${id}:${href}${quote}`;
  });
}

/** Ids of the marked links that are the same for everybody: a click on them needs no address in its token. */
export function staticLinkIds(marked: string): Set<string> {
  return new Set(
    [...marked.matchAll(MARKED)]
      .filter(([, , double, , single]) => !/\{[{%]/.test(double ?? single ?? ''))
      .map(([, double, , single]) => double ?? single ?? ''),
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

/** Turns the escapes that MJML and Liquid write back into signs; other entities stay as they are. */
export function unescapeAttribute(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:amp|lt|gt|quot|#34|#39);/g, (entity) => ENTITIES[entity] ?? entity);
}

function isTracked(href: string): boolean {
  if (UNTOUCHED.test(href)) return false;
  return /^https?:\/\//i.test(href) || href.trimStart().startsWith('{{');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#34;': '"',
  '&#39;': "'",
};

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
