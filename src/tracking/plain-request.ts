import type { IncomingMessage } from 'node:http';
import type { RequestFacts } from './hit-batch.js';

export interface PlainRequest {
  kind: 'open' | 'click';
  /** Not looked at yet. */
  token: string;
  from: Pick<RequestFacts, 'ip' | 'method' | 'headers'>;
}

/**
 * The request for a mail's link or picture, when it can be answered without a router: the address as it stands in the
 * mail, with nothing behind it, and no proxy to be asked who is there. Null for any other, which the routes look at.
 */
export function plainRequest(
  { url = '', method = '', headers, socket }: Pick<IncomingMessage, 'url' | 'method' | 'headers' | 'socket'>,
  { behindProxy }: { behindProxy: boolean },
): PlainRequest | null {
  if (url.charAt(2) !== '/' || (method !== 'GET' && method !== 'HEAD')) return null;
  if (behindProxy && headers['x-forwarded-for'] !== undefined) return null;
  const from = { ip: socket.remoteAddress ?? '', method, headers };
  if (url.startsWith('/c/')) return { kind: 'click', token: url.slice(3), from };
  if (url.startsWith('/o/') && url.endsWith('.gif')) return { kind: 'open', token: url.slice(3, -4), from };
  return null;
}
