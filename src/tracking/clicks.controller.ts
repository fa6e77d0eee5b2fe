import { Controller, Inject, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../infra/config.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { locationOf } from './click-target.js';
import { HitRecorder } from './hit-recorder.service.js';
import { LinksService } from './links.service.js';
import { type ClickTarget, readClickToken, readOpenToken } from './tracking-token.js';

/** The smallest GIF: one transparent pixel. As text, so that Node writes it to the socket in one piece with the head. */
const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64').toString(
  'latin1',
);
const PIXEL_HEADERS = ['content-type', 'image/gif', 'content-length', String(PIXEL.length)];

const PRIVATE = [
  ...['referrer-policy', 'no-referrer', 'x-robots-tag', 'noindex', 'cache-control', 'no-store'],
  ...['x-content-type-options', 'nosniff'],
];
const GONE = {
  status: 404,
  heading: 'No such link',
  message: 'This link is not complete. Copy the whole address from the mail, or press the link in it.',
};
const LATER = {
  status: 503,
  heading: 'One moment',
  message: 'This link cannot be looked up right now. Please try again in a minute.',
};

/**
 * Links and pictures of mails. They are answered from memory and recorded afterwards: a reader gets where they wanted
 * to go, and the pixel, also while the database is away. They are routes of Fastify itself, since the whole way through
 * guards, pipes and interceptors, none of which concerns them, costs more than the answer.
 */
@Controller()
export class ClicksController implements OnModuleInit {
  constructor(
    private readonly adapter: HttpAdapterHost,
    private readonly recorder: HitRecorder,
    private readonly links: LinksService,
    private readonly pages: PageRenderer,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  async onModuleInit(): Promise<void> {
    // Commands have the application without a web server.
    const server = (
      this.adapter.httpAdapter as typeof this.adapter.httpAdapter | undefined
    )?.getInstance<FastifyInstance>();
    if (!server) return;
    await Promise.all([this.links.start(), this.recorder.start()]);
    server.get<{ Params: { token: string } }>('/c/:token', (request, reply) => this.click(request, reply));
    server.get<{ Params: { file: string } }>('/o/:file', (request, reply) => this.open(request, reply));
  }

  /** HEAD is answered alike and recorded as a scanner's. Only what we signed redirects: this is no open redirect. */
  private click(
    request: FastifyRequest<{ Params: { token: string } }>,
    reply: FastifyReply,
  ): FastifyReply | Promise<FastifyReply> {
    const click = readClickToken(this.config.secretKey, request.params.token);
    if (click === null) return this.page(reply, GONE);
    const location = click.url === null ? this.links.remembered(click.linkId) : locationOf(click.url);
    if (location === undefined) return this.lookUp(click, request, reply);
    return location === null ? this.page(reply, GONE) : this.redirect({ click, location }, request, reply);
  }

  private async lookUp(
    click: ClickTarget,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    let location: string | null;
    try {
      location = await this.links.read(click.linkId);
    } catch {
      return this.page(reply.header('retry-after', '60'), LATER);
    }
    return location === null ? this.page(reply, GONE) : this.redirect({ click, location }, request, reply);
  }

  private redirect(
    { click: { messageId, linkId }, location }: { click: ClickTarget; location: string },
    request: FastifyRequest,
    reply: FastifyReply,
  ): FastifyReply {
    this.recorder.push({ kind: 'click', messageId, linkId }, request);
    return answer(reply, { status: 302, headers: ['location', location, 'content-length', '0'], body: '' });
  }

  /** The picture comes whatever the token is: an error would show as a broken image in somebody's mail. */
  private open(request: FastifyRequest<{ Params: { file: string } }>, reply: FastifyReply): FastifyReply {
    const { file } = request.params;
    const messageId = readOpenToken(this.config.secretKey, file.endsWith('.gif') ? file.slice(0, -4) : file);
    if (messageId !== null) this.recorder.push({ kind: 'open', messageId, linkId: null }, request);
    return answer(reply, { status: 200, headers: PIXEL_HEADERS, body: PIXEL });
  }

  private async page(reply: FastifyReply, view: typeof GONE): Promise<FastifyReply> {
    return sendPrivatePage(reply, view.status, await this.pages.render('pages/error', view));
  }
}

/**
 * Writes head and body at once, past Fastify's ways for objects, streams and hooks. Node leaves the body out for HEAD.
 * `headers` are names and values in turns.
 */
function answer(
  reply: FastifyReply,
  { status, headers, body }: { status: number; headers: string[]; body: string },
): FastifyReply {
  reply.hijack();
  reply.raw.writeHead(status, [...PRIVATE, 'x-request-id', reply.request.id, ...headers]);
  reply.raw.end(body, 'latin1');
  return reply;
}
