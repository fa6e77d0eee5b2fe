import type { FastifyReply } from 'fastify';

const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/** Answers with a rendered page. Nothing of it is kept by a cache: pages carry names, prices and form tokens. */
export function sendPage(reply: FastifyReply, status: number, html: string): FastifyReply {
  return withPageHeaders(reply.status(status)).send(html);
}

/** Sends a browser on with GET, after a form as well; no cache keeps where to. */
export function seeOther(reply: FastifyReply, to: string): FastifyReply {
  return reply.header('cache-control', 'no-store').redirect(to, 303);
}

/** For pages whose address holds a token: no request from them tells the address to anybody, no index keeps it. */
export function sendPrivatePage(reply: FastifyReply, status: number, html: string): FastifyReply {
  return withPageHeaders(withPrivateHeaders(reply.status(status)), 'no-referrer').send(html);
}

/** What `sendPrivatePage` promises, for an answer that is no page: a file, a line of text. */
export function withPrivateHeaders(reply: FastifyReply): FastifyReply {
  return reply
    .header('referrer-policy', 'no-referrer')
    .header('x-robots-tag', 'noindex')
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'no-store');
}

/** What `sendPage` says about a page, for one that Nest sends. */
export function withPageHeaders(
  reply: FastifyReply,
  referrerPolicy = 'strict-origin-when-cross-origin',
): FastifyReply {
  return reply
    .header('content-type', 'text/html; charset=utf-8')
    .header('content-security-policy', CONTENT_SECURITY_POLICY)
    .header('x-content-type-options', 'nosniff')
    .header('referrer-policy', referrerPolicy)
    .header('cache-control', 'no-store');
}
