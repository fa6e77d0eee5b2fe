import { prolonged } from '../../values/signed-token.js';
import { DAY_MS } from '../../values/time-units.js';

/** What the token of a link is for. */
export const DOWNLOAD = 'download';

/** How long the link to what a form hands over works: people come back to a mail weeks later. */
const HANDED_OVER_MS = 30 * DAY_MS;

export function handedOverUntil(at: Date): Date {
  return new Date(at.getTime() + HANDED_OVER_MS);
}

/**
 * The link of a mail of `mailedAt`, made when the person joined: a pause or a late step has kept the mail, and its link
 * would be dead on arrival. One that we have not signed stays as it is.
 */
export function mailedLink(secret: Buffer, url: string, mailedAt: Date): string {
  const at = url.lastIndexOf('/') + 1;
  return url.slice(0, at) + prolonged(secret, DOWNLOAD, url.slice(at), handedOverUntil(mailedAt));
}
