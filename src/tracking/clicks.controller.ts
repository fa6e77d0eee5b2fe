import { Controller, Get, Inject, Logger, Param, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../infra/config.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { safeClickTarget } from './click-target.js';
import { readClickToken, readOpenToken } from './tracking-token.js';
import { TrackingService } from './tracking.service.js';

/** The smallest GIF: one transparent pixel. */
const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

/**
 * Links and pictures of mails. Recording comes second: a reader gets where they wanted to go, and the pixel, also when
 * it fails.
 */
@Controller()
export class ClicksController {
  readonly #log = new Logger('Tracking');

  constructor(
    private readonly tracking: TrackingService,
    private readonly pages: PageRenderer,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** HEAD is answered alike and recorded as a scanner's. Only what we signed redirects: this is no open redirect. */
  @Get('c/:token')
  async click(
    @Param('token') token: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const click = readClickToken(this.config.secretKey, token);
    const url = click === null ? null : (click.url ?? (await this.tracking.linkUrl(click.linkId)));
    const target = url === null ? null : safeClickTarget(url);
    if (click === null || target === null) {
      const message =
        'This link is not complete. Copy the whole address from the mail, or press the link in it.';
      const view = { status: 404, heading: 'No such link', message };
      sendPrivatePage(reply, 404, await this.pages.render('pages/error', view));
      return;
    }
    const { messageId, linkId } = click;
    await this.record({ kind: 'click', messageId, linkId }, request);
    withPrivacyHeaders(reply).status(302).header('location', headerSafe(target)).send('');
  }

  /** The picture comes whatever the token is: an error would show as a broken image in somebody's mail. */
  @Get('o/:file')
  async open(
    @Param('file') file: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const messageId = readOpenToken(this.config.secretKey, file.replace(/\.gif$/, ''));
    if (messageId !== null) await this.record({ kind: 'open', messageId, linkId: null }, request);
    withPrivacyHeaders(reply).header('content-type', 'image/gif').send(PIXEL);
  }

  private async record(
    hit: { kind: 'open' | 'click'; messageId: string; linkId: string | null },
    request: FastifyRequest,
  ): Promise<void> {
    try {
      await this.tracking.recordHit(hit, request);
    } catch (error) {
      this.#log.error(
        `A ${hit.kind} was not recorded: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

function withPrivacyHeaders(reply: FastifyReply): FastifyReply {
  return reply
    .header('referrer-policy', 'no-referrer')
    .header('x-robots-tag', 'noindex')
    .header('cache-control', 'no-store');
}

/** A header holds ASCII; what is encoded already stays as it is. */
function headerSafe(url: string): string {
  return url.replace(/[^\u0021-\u007e]+/gu, (text) => encodeURI(text.toWellFormed()));
}
