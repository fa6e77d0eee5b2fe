import type { IncomingMessage } from 'node:http';
import { Controller, Inject, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../infra/config.js';
import { beforeRoutes, type PlainAnswer, writePlain } from '../infra/http/before-routes.js';
import { clientAddress, type Trust, trustIn } from '../infra/http/client-address.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { locationOf } from './click-target.js';
import { HitRecorder } from './hit-recorder.service.js';
import { LinksService } from './links.service.js';
import { type PlainRequest, plainRequest } from './plain-request.js';
import { type ClickTarget, readClickToken, readOpenToken } from './tracking-token.js';

/** Only what the answer needs: each header costs a hundredth of it. */
const NOT_KEPT = ['cache-control', 'no-store'];

/** The smallest GIF: one transparent pixel. As text, so that Node writes it to the socket in one piece with the head. */
const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64').toString(
  'latin1',
);
const PICTURE: PlainAnswer = {
  status: 200,
  headers: [...NOT_KEPT, 'content-type', 'image/gif', 'content-length', String(PIXEL.length)],
  body: PIXEL,
};

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
 * to go, and the pixel, also while the database is away. The plain ones are answered before Fastify routes them, and the
 * rest by routes of Fastify itself: the way through its hooks doubles the cost, that through guards, pipes and
 * interceptors, none of which concerns them, costs more than the answer.
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
    const trust = trustIn(this.config.trustedProxies);
    beforeRoutes(server.server, (request) => this.firstLook(request, trust));
  }

  /** The same answers as the routes give, where token and link are good. */
  private firstLook(request: IncomingMessage, trust: Trust | null): PlainAnswer | null {
    const plain = plainRequest(request, () => clientAddress(request, trust));
    if (plain === null) return null;
    return plain.kind === 'click' ? this.plainClick(plain) : this.plainOpen(plain);
  }

  private plainClick({ token, from }: PlainRequest): PlainAnswer | null {
    const click = readClickToken(this.config.secretKey, token);
    if (click === null) return null;
    const location = click.url === null ? this.links.remembered(click.linkId) : locationOf(click.url);
    if (location === undefined || location === null) return null;
    this.recorder.push({ kind: 'click', messageId: click.messageId, linkId: click.linkId }, from);
    return redirectTo(location);
  }

  private plainOpen({ token, from }: PlainRequest): PlainAnswer | null {
    const messageId = readOpenToken(this.config.secretKey, token);
    if (messageId === null) return null;
    this.recorder.push({ kind: 'open', messageId, linkId: null }, from);
    return PICTURE;
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
    return answer(reply, redirectTo(location));
  }

  /** The picture comes whatever the token is: an error would show as a broken image in somebody's mail. */
  private open(request: FastifyRequest<{ Params: { file: string } }>, reply: FastifyReply): FastifyReply {
    const { file } = request.params;
    const messageId = readOpenToken(this.config.secretKey, file.endsWith('.gif') ? file.slice(0, -4) : file);
    if (messageId !== null) this.recorder.push({ kind: 'open', messageId, linkId: null }, request);
    return answer(reply, PICTURE);
  }

  private async page(reply: FastifyReply, view: typeof GONE): Promise<FastifyReply> {
    return sendPrivatePage(reply, view.status, await this.pages.render('pages/error', view));
  }
}

function redirectTo(location: string): PlainAnswer {
  const headers = [...NOT_KEPT, 'referrer-policy', 'no-referrer', 'x-robots-tag', 'noindex'];
  return { status: 302, headers: [...headers, 'location', location, 'content-length', '0'], body: '' };
}

function answer(reply: FastifyReply, what: PlainAnswer): FastifyReply {
  reply.hijack();
  writePlain(reply.raw, what);
  return reply;
}
