import { isLoopback as isLoopbackIp } from '../../tracking/hit-class.js';
import { urlOf } from '../../values/url.js';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * Whether a POST came from one of our own pages. `origin` is the header of that name: every browser sends it with a
 * form, so a request without it is no browser's and carries no cookie of a victim. On the owner's own machine the
 * pages answer under any loopback name, whatever BASE_URL says.
 */
export function isSameOrigin(
  origin: string | undefined,
  own: { baseUrl: string; host: string | undefined },
): boolean {
  if (origin === undefined) return true;
  const from = urlOf(origin);
  if (from === null) return false;
  const { host, hostname, origin: sent } = from;
  if (sent === new URL(own.baseUrl).origin) return true;
  return LOOPBACK.has(hostname) && host === own.host;
}

/** Whether only this machine can reach what listens on `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Where to go after signing in: a path of ours, never another site's address that was slipped into the link. */
export function returnPath(next: string | undefined): string {
  return next !== undefined && /^\/(admin|mailbox)(?![\w-])[\w/?=&%.-]*$/.test(next) && !next.includes('//')
    ? next
    : '/admin';
}

const FORWARDED = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
];

export interface Visit {
  ip: string;
  headers: Record<string, string | string[] | undefined>;
  raw: { httpVersion: string };
}

/**
 * Whether a request was made on this machine: from a loopback address, under a name of this machine (another name is a
 * page elsewhere that pointed its own name here), and not handed on by a proxy. A proxy that says nothing of it is known
 * by the address of the world that we were told for our links, or by its HTTP/1.0, which nginx speaks unless it is told
 * better and no browser does.
 */
export function isAtHome({ ip, headers, raw }: Visit, baseUrl: string): boolean {
  const { host } = headers;
  const asked = typeof host === 'string' ? urlOf(`http://${host}`) : null;
  const names = [asked?.hostname ?? '', urlOf(baseUrl)?.hostname ?? ''];
  if (!isLoopbackIp(ip) || raw.httpVersion === '1.0' || !names.every((name) => LOOPBACK.has(name)))
    return false;
  return FORWARDED.every((name) => headers[name] === undefined);
}
