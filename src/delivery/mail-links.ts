/** Links that must work untouched: a redirect between a person and their way out is one step too many. */
const UNTOUCHED = /\{\{[^}]*\b(unsubscribeUrl|preferencesUrl|confirmUrl)\b/;
const HREF = /(<a\b[^>]*?\shref=")([^"]*)(")/gi;
const MARKED = /href="ws-link:(\d+):([^"]*)"/g;

/** The addresses of the mail's links, as Liquid, each once, in the order of the mail. */
export function linkTemplates(html: string): string[] {
  const found = [...html.matchAll(HREF)].map(([, , href = '']) => href).filter(isTracked);
  return [...new Set(found)];
}

/** Marks each link with its id; `markedLinks` finds the marks again after the variables are filled in. */
export function markLinks(html: string, idOf: ReadonlyMap<string, string>): string {
  return html.replace(HREF, (whole, before: string, href: string, after: string) => {
    const id = idOf.get(href);
    return id === undefined ? whole : `${before}ws-link:${id}:${href}${after}`;
  });
}

/** Replaces every mark by what `target` makes of the link's id and its filled-in address (not escaped). */
export function resolveLinks(html: string, target: (linkId: string, url: string) => string): string {
  return html.replace(
    MARKED,
    (_, id: string, escaped: string) => `href="${escapeAttribute(target(id, unescapeAttribute(escaped)))}"`,
  );
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

function unescapeAttribute(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#34|#39);/g, (entity) => ENTITIES[entity] ?? entity);
}

function escapeAttribute(text: string): string {
  return text.replace(
    /[&<>"]/g,
    (sign) => Object.keys(ENTITIES).find((entity) => ENTITIES[entity] === sign) ?? sign,
  );
}
