import { urlOf } from '../values/url.js';

/** A page of ours that an affiliate's link may lead to. */
export interface Landing {
  page: 'p' | 'offer' | 'checkout';
  slug: string;
}

const PATH = /^\/(p|offer|checkout)\/([a-z0-9]+(?:-[a-z0-9]+)*)$/;

/** Reads `?to=`: `/p/SLUG`, `/offer/SLUG` or `/checkout/SLUG` and nothing else, so that no link leads off this server. */
export function readLanding(to: unknown): Landing | null {
  const [, page, slug] = (typeof to === 'string' && PATH.exec(to)) || [];
  return (page === 'p' || page === 'offer' || page === 'checkout') && slug !== undefined
    ? { page, slug }
    : null;
}

export function landingPath({ page, slug }: Landing): string {
  return `/${page}/${slug}`;
}

/** The code that stands in the address of a page of ours, `referer`: of the form that it has sent. */
export function codeOfPage(referer: string | undefined, baseUrl: string): string | undefined {
  const page = referer === undefined ? null : urlOf(referer);
  if (page === null || page.origin !== new URL(baseUrl).origin) return undefined;
  return page.searchParams.get('a') ?? undefined;
}
