import { type ArgumentsHost, Catch, type ExceptionFilter, Injectable, Logger } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isDatabaseAway } from '../database/lost-connection.js';
import { PageRenderer } from './page-renderer.js';
import { instanceOf, type Problem, PROBLEM_MEDIA_TYPE, problemAnswerOf, problemBytes } from './problem.js';
import { sendPrivatePage } from './send-page.js';
import { urlOf } from '../../values/url.js';

const ADDRESS = /[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{1,255}/g;

const SAY_AWAY_EVERY_MS = 60_000;

const HEADINGS: Readonly<Record<number, string>> = {
  404: 'There is nothing here',
  410: 'This link has expired',
  413: 'That was too much at once',
  429: 'Too many tries',
  503: 'Back in a moment',
};

/**
 * The one place where what was thrown becomes an answer: problem+json for programs, the page `pages/error` for people.
 * A bug is logged once, with its stack and the route's pattern, never with a body, an address or a token.
 */
@Catch()
@Injectable()
export class ProblemFilter implements ExceptionFilter {
  readonly #log = new Logger('Http');
  #saidAwayMs = -Infinity;

  constructor(private readonly pages: PageRenderer) {}

  async catch(error: unknown, host: ArgumentsHost): Promise<void> {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const { problem, headers, unexpected } = problemAnswerOf(error);
    if (problem.code === 'REQUEST_TOO_LARGE') problem.detail = tooLarge(request);
    problem.instance = instanceOf(request);
    if (unexpected) this.logBug(error, request);
    if (problem.code === 'DATABASE_UNAVAILABLE') this.logAway(error);
    if (reply.sent || reply.raw.headersSent) return;
    reply.headers(headers);
    if (wantsPage(request)) await this.sendErrorPage(reply, problem, wayBack(request));
    else sendProblem(reply, problem);
  }

  private async sendErrorPage(reply: FastifyReply, problem: Problem, back: string | null): Promise<void> {
    const { status, detail, code } = problem;
    const heading = HEADINGS[status] ?? (status >= 500 ? 'Something went wrong' : 'That did not work');
    const message =
      code === 'ROUTE_NOT_FOUND' ? 'The address may have been cut off on its way to you.' : sentence(detail);
    try {
      const view = { status, heading, message, back };
      sendPrivatePage(reply, status, await this.pages.render('pages/error', view));
    } catch (broken) {
      this.#log.error(`The error page cannot be rendered: ${String(broken)}`);
      sendProblem(reply, problem);
    }
  }

  /** Each request would say so. */
  private logAway(error: unknown): void {
    const nowMs = performance.now();
    if (nowMs - this.#saidAwayMs < SAY_AWAY_EVERY_MS) return;
    this.#saidAwayMs = nowMs;
    const what = isDatabaseAway(error) ? 'is away' : 'takes no writes';
    this.#log.warn(`The database ${what}: ${error instanceof Error ? error.message : String(error)}`);
  }

  private logBug(error: unknown, request: FastifyRequest): void {
    const route = request.routeOptions.url ?? '(no route)';
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error(
      `${request.method} ${route} failed, request ${request.id}\n${stack.replace(ADDRESS, '(address)')}`,
    );
  }
}

/** Forms with boundaries have a limit of their own, which no route tells. */
function tooLarge({ routeOptions, headers }: FastifyRequest): string {
  const isMultipart = (headers['content-type'] ?? '').startsWith('multipart/');
  const most = isMultipart ? '' : `, and ${megabytes(routeOptions.bodyLimit)} are the most here`;
  return `What was sent is too large${most}; nothing was changed`;
}

function megabytes(bytes = 0): string {
  return `${Math.round(bytes / 1_048_576)} MB`;
}

function sendProblem(reply: FastifyReply, problem: Problem): void {
  reply
    .status(problem.status)
    .header('content-type', PROBLEM_MEDIA_TYPE)
    .header('cache-control', 'no-store')
    .send(problemBytes(problem));
}

/** Programs get JSON from `/api` whatever they say they accept; elsewhere a browser gets a page. */
function wantsPage(request: FastifyRequest): boolean {
  const isApi = /^\/api(?:[/?]|$)/.test(request.url);
  return !isApi && (request.headers.accept ?? '').includes('text/html');
}

/** Where the owner was before, on this server; a visitor has none of our pages to go back to. */
export function wayBack({ url, headers }: Pick<FastifyRequest, 'url' | 'headers'>): string | null {
  if (!/^\/admin(?:[/?]|$)/.test(url)) return null;
  const { referer = '', host } = headers;
  const from = urlOf(referer);
  if (from === null) return '/admin';
  const isOurs = from.host === host && /^\/admin(?:\/|$)/.test(from.pathname);
  const path = from.pathname + from.search;
  return isOurs && path !== url ? path : '/admin';
}

/** What is said to programs in a few words, as people write it. */
function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?)]$/.test(begun) ? begun : `${begun}.`;
}
