import { Readable } from 'node:stream';
import { Controller, Get, Logger, Param, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PageRenderer } from '../http/page-renderer.js';
import { sendPrivatePage } from '../http/send-page.js';
import { DomainError } from '../../values/domain-error.js';
import { attachment } from './content-disposition.js';
import { FilesService, type StoredFile } from './files.service.js';

/** Hands out what was bought or promised, to whoever holds the signed link. */
@Controller('download')
export class FilesController {
  private readonly logger = new Logger(FilesController.name);

  constructor(
    private readonly files: FilesService,
    private readonly pages: PageRenderer,
  ) {}

  /** Fastify answers HEAD from here as well. */
  @Get(':token')
  async download(
    @Param('token') token: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    reply.header('cache-control', 'no-store').header('x-robots-tag', 'noindex');
    const file = await this.files.fromToken(token);
    if (file === 'expired') return this.expired(reply);
    if (file === 'refunded') return this.refunded(reply);
    if (file === null) return this.unknown(reply);
    const stream = await this.open(file);
    if (stream === null) return this.lost(reply);
    reply
      .header('content-type', file.contentType)
      .header('content-length', String(file.sizeBytes))
      .header('content-disposition', attachment(file.fileName))
      .header('x-content-type-options', 'nosniff');
    if (request.method !== 'HEAD') {
      await reply.send(stream);
      return;
    }
    stream.destroy();
    // An empty stream, not an absent body: for the latter Fastify would overwrite the length with 0.
    await reply.send(Readable.from([]));
  }

  private async open(file: StoredFile): Promise<Readable | null> {
    try {
      return await this.files.read(file);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      this.logger.error(error.message);
      return null;
    }
  }

  private async expired(reply: FastifyReply): Promise<void> {
    const message =
      'Download links work for a limited time. Write to the sender of the mail, who can send you a new one.';
    sendPrivatePage(reply, 410, await this.pages.render('pages/expired-link', { message }));
  }

  private async refunded(reply: FastifyReply): Promise<void> {
    const view = {
      status: 410,
      heading: 'This order was refunded',
      message: 'Its downloads are closed.',
    };
    sendPrivatePage(reply, 410, await this.pages.render('pages/error', view));
  }

  private async unknown(reply: FastifyReply): Promise<void> {
    const view = {
      status: 404,
      heading: 'No such download',
      message: 'This link is not complete. Copy the whole address from the mail, or press the button in it.',
    };
    sendPrivatePage(reply, 404, await this.pages.render('pages/error', view));
  }

  private async lost(reply: FastifyReply): Promise<void> {
    const view = {
      status: 500,
      heading: 'The file is missing',
      message:
        'Your link is right, but the file is not in its place. Please write to the sender of the mail.',
    };
    sendPrivatePage(reply, 500, await this.pages.render('pages/error', view));
  }
}
