import type { IncomingMessage } from 'node:http';
import proxyAddr from '@fastify/proxy-addr';
import { trustsHop, type TrustedProxies } from '../../../config/trusted-proxies.js';

/** Whether the proxy at this address, so many hops before us, is believed about who stands behind it. */
export type Trust = (address: string, hop: number) => boolean;

/** Null without proxies. */
export function trustIn(proxies: TrustedProxies | null): Trust | null {
  if (proxies === null) return null;
  return typeof proxies === 'number'
    ? (address, hop) => trustsHop(proxies, address, hop)
    : proxyAddr.compile(proxies);
}

/** Who asks, the same as Fastify's `request.ip`: without trust the address of the connection, whatever headers say. */
export function clientAddress(request: IncomingMessage, trust: Trust | null): string {
  const { headers, socket } = request;
  if (trust === null || headers['x-forwarded-for'] === undefined) return socket.remoteAddress ?? '';
  return proxyAddr(request, trust);
}
