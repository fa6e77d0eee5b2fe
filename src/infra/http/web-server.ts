import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { BadRequestException, PayloadTooLargeException, UnsupportedMediaTypeException } from '@nestjs/common';
import fastifyCookie from '@fastify/cookie';
import fastifyStatic from '@fastify/static';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config.js';
import { SWAGGER_UI_DIR } from './api-docs.controller.js';
import { trustIn } from './client-address.js';
import { ASSETS_DIR } from './page-renderer.js';
import { PROBLEM_MEDIA_TYPE, problemAnswerOf, problemBytes } from './problem.js';

const BODY_LIMIT_BYTES = 1_048_576;
/** Funnels come as text with that of their mails and pages; in JSON a letter may be six bytes, and they may have 800,000. */
const FUNNEL_LIMIT_BYTES = 5 * BODY_LIMIT_BYTES;
const FILES_PATH = /^\/api\/v1\/files(?:\?|$)/;
const FUNNEL_ROUTES = new Set([
  '/api/v1/funnels',
  '/api/v1/funnels/:key',
  '/api/v1/funnels/lint',
  '/api/v1/funnels/:key/simulate',
  '/admin/funnels/:key/edit',
  '/admin/new-funnel/text',
]);
/** RFC 8058 one-click bodies are a few hundred bytes; two pages of ours upload files this way. */
const MULTIPART_LIMIT_BYTES = 65_536;
const UPLOAD_PATHS = new Set(['/admin/imports', '/admin/files']);
/** The link by which a reader leaves; it takes a body of any kind and size, of which no more than this is looked at. */
const LEAVING_READ_BYTES = 65_536;
const LEAVES = /^\/u\/[^/?]+\/?(?:\?|$)/;
/** Forms on other sites; no credentials are involved. Also what is refused before their route must be readable there. */
const FORMS = /^\/api\/public\/forms\//;
/** Programs send JSON there; what browsers and curl call a body by themselves is a mistake of theirs. */
const API = /^\/api\/v1\//;
const FORM_OR_TEXT = /^\s*(?:application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\s*(?:;|$)/i;
const FORM = /^\s*(?:application\/x-www-form-urlencoded|multipart\/form-data)\s*(?:;|$)/i;
/** Signed tokens are path parameters, and Fastify's default of 100 characters would cut them off with a 404. */
const MAX_PARAM_LENGTH = 1_000;

/**
 * The Fastify side of the application. `trustedProxies` decides whether `request.ip` follows X-Forwarded-For; without
 * them anybody could put any address there.
 */
export function createWebAdapter({ trustedProxies }: Pick<Config, 'trustedProxies'>): FastifyAdapter {
  return new FastifyAdapter({
    trustProxy: trustIn(trustedProxies) ?? false,
    bodyLimit: BODY_LIMIT_BYTES,
    genReqId: () => randomUUID(),
    // Taken from the caller, an id could put anything into the log.
    requestIdHeader: false,
    // An address the router cannot read never reaches the filter.
    frameworkErrors: (error: Error, _request: FastifyRequest, reply: FastifyReply) => {
      const { problem } = problemAnswerOf(error);
      reply.status(problem.status).header('content-type', PROBLEM_MEDIA_TYPE).send(problemBytes(problem));
    },
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH, ignoreTrailingSlash: true },
  });
}

/** What every request meets before a controller; for the application and for tests alike. Call before `app.init()`. */
export async function configureWebServer(app: NestFastifyApplication, _config: Config): Promise<void> {
  const adapter: unknown = app.getHttpAdapter();
  if (!(adapter instanceof FastifyAdapter)) throw new TypeError('The web server runs on Fastify only');
  // `rawBody` keeps the bytes beside the parsed body: signatures of webhooks are over bytes.
  adapter.useBodyParser('application/json', true, { bodyLimit: BODY_LIMIT_BYTES });
  const server: FastifyInstance = adapter.getInstance();
  server.addHook('onRoute', (route) => {
    if (FUNNEL_ROUTES.has(route.url)) route.bodyLimit = FUNNEL_LIMIT_BYTES;
  });
  server.addContentTypeParser('multipart/form-data', async (request: FastifyRequest, payload: Readable) =>
    UPLOAD_PATHS.has(request.url)
      ? payload
      : textFieldsOf(await bounded(payload), request.headers['content-type'] ?? ''),
  );
  // Tables are of any size and go to the controller as they come; nobody has looked at who sends them before that.
  server.addContentTypeParser(['text/csv', 'application/zip'], (request: FastifyRequest, payload, done) => {
    const isTable = request.url.startsWith('/api/v1/imports/');
    done(isTable ? null : new UnsupportedMediaTypeException(), payload);
  });
  // So do files to deliver.
  server.addContentTypeParser('application/octet-stream', (request: FastifyRequest, payload, done) => {
    done(FILES_PATH.test(request.url) ? null : new UnsupportedMediaTypeException(), payload);
  });
  server.addHook('onRequest', async (request, reply) => {
    // Many clients call each request JSON, also one without a body, of which the parser makes an error.
    if (isEmptyJson(request)) delete request.headers['content-type'];
    // A provider's POST that names no kind of body, or a wrong one, still says that its reader wants to leave.
    if (isLeaving(request) && !FORM.test(request.headers['content-type'] ?? ''))
      request.headers['content-type'] = 'text/plain';
    reply.header('x-request-id', request.id);
    if (
      API.test(request.url) &&
      !isEmpty(request) &&
      FORM_OR_TEXT.test(request.headers['content-type'] ?? '')
    )
      throw new UnsupportedMediaTypeException();
    if (FORMS.test(request.url)) {
      reply.header('access-control-allow-origin', '*').header('access-control-expose-headers', 'retry-after');
    }
    reply.header('x-content-type-options', 'nosniff');
    reply.header('referrer-policy', 'strict-origin-when-cross-origin');
  });
  // So does one with a body of any size. What is not looked at here Node throws away once the answer is out.
  server.addHook('preParsing', async (request, _reply, payload) => {
    if (!isLeaving(request)) return payload;
    delete request.headers['content-length'];
    return firstBytes(payload, LEAVING_READ_BYTES);
  });
  // Node would read Latin-1 as UTF-8 with a question mark for each letter beyond ASCII, and names would be kept like that.
  server.addHook('preValidation', async ({ url, rawBody }: FastifyRequest & { rawBody?: Buffer }) => {
    if (API.test(url) && rawBody !== undefined && !isUtf8(rawBody)) throw new BadRequestException();
  });
  await app.register(fastifyCookie);
  await app.register(fastifyStatic, { root: ASSETS_DIR, prefix: '/assets/', maxAge: '1h', index: false });
  await app.register(fastifyStatic, {
    root: SWAGGER_UI_DIR,
    prefix: '/api/docs/ui/',
    maxAge: '1h',
    index: false,
    decorateReply: false,
  });
}

function isEmpty({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return (headers['content-length'] ?? '0') === '0' && headers['transfer-encoding'] === undefined;
}

function isEmptyJson({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return isEmpty({ headers }) && /^\s*application\/json\b/i.test(headers['content-type'] ?? '');
}

function isLeaving({ method, url }: Pick<FastifyRequest, 'method' | 'url'>): boolean {
  return method === 'POST' && LEAVES.test(url);
}

/** The stream goes on afterwards: ended here, it would take the connection and the answer along. */
async function firstBytes(payload: Readable, limit: number): Promise<Readable> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    pieces.push(piece.subarray(0, limit - size));
    size += piece.length;
    if (size >= limit) break;
  }
  return Readable.from([Buffer.concat(pieces)]);
}

async function bounded(payload: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of payload as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MULTIPART_LIMIT_BYTES) throw new PayloadTooLargeException();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/**
 * The text fields of a form. A body that is not what its header says counts as an empty form: the one thing that must
 * work is a one-click unsubscribe (RFC 8058, section 3.2), whose meaning lies in the address.
 */
async function textFieldsOf(body: Buffer, contentType: string): Promise<Record<string, string>> {
  const fields: Record<string, string> = {};
  try {
    const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
    for (const [name, value] of form) if (typeof value === 'string') fields[name] = value;
  } catch {
    return {};
  }
  return fields;
}
