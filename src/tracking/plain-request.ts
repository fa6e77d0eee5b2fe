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
 * mail, with nothing behind it. Null for any other, which the routes look at. `addressOf`: who asks.
 */
export function plainRequest<Request extends Pick<IncomingMessage, 'url' | 'method' | 'headers'>>(
  request: Request,
  addressOf: (request: Request) => string,
): PlainRequest | null {
  const { url = '', method = '', headers } = request;
  if (url.charAt(2) !== '/' || (method !== 'GET' && method !== 'HEAD')) return null;
  const isClick = url.startsWith('/c/');
  if (!isClick && !(url.startsWith('/o/') && url.endsWith('.gif'))) return null;
  const from = { ip: addressOf(request), method, headers };
  return isClick
    ? { kind: 'click', token: url.slice(3), from }
    : { kind: 'open', token: url.slice(3, -4), from };
}
