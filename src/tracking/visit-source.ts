import { urlOf } from '../values/url.js';

const UTM_KEYS = ['source', 'medium', 'campaign', 'term', 'content'] as const;
const MAX_CHARS = 200;

export interface VisitSource {
  /** Origin and path of the page that led here; queries are left out, they can hold anything about anybody. */
  referrer: string | null;
  utm: Partial<Record<(typeof UTM_KEYS)[number], string>> | null;
}

/** Where a visitor came from, as far as the request says; our own pages do not count. */
export function visitSource(
  { headers, query }: { headers: { referer?: string | undefined }; query: unknown },
  baseUrl: string,
): VisitSource {
  return { referrer: referrerOf(headers.referer, baseUrl), utm: utmOf(query) };
}

/** The marks in the address of a page of ours that sends this; a browser says there where it stands. */
export function marksOfPage(referer: string | undefined, baseUrl: string): VisitSource['utm'] {
  const page = referer === undefined ? null : urlOf(referer);
  if (page === null || page.origin !== new URL(baseUrl).origin) return null;
  return utmOf(Object.fromEntries(page.searchParams));
}

function referrerOf(referer: string | undefined, baseUrl: string): string | null {
  const from = referer === undefined ? null : urlOf(referer);
  if (from === null) return null;
  const { protocol, origin, pathname } = from;
  if (!/^https?:$/.test(protocol) || origin === new URL(baseUrl).origin) return null;
  return cut(origin + pathname);
}

function utmOf(query: unknown): VisitSource['utm'] {
  if (typeof query !== 'object' || query === null) return null;
  const given: Record<string, unknown> = { ...query };
  const found = UTM_KEYS.flatMap((key) => {
    const value = given[`utm_${key}`];
    return typeof value === 'string' && value !== '' ? [[key, cut(value)] as const] : [];
  });
  return found.length === 0 ? null : Object.fromEntries(found);
}

function cut(text: string): string {
  return text.replaceAll('\0', '').slice(0, MAX_CHARS).toWellFormed();
}
