import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { MessagesService } from './messages.service.js';

const DOWNLOAD = '/download/';

/**
 * A receipt hands over files, and a welcome mail what it promised, by links that say from which mail they are (`m`): who uses one has the mail. The route is that
 * of the files, which know nothing of mails, so this looks at the request before it.
 */
@Injectable()
export class UsedDownloads implements OnModuleInit {
  constructor(
    private readonly adapter: HttpAdapterHost,
    private readonly messages: MessagesService,
  ) {}

  onModuleInit(): void {
    // Commands have the application without a web server.
    const server = (
      this.adapter.httpAdapter as typeof this.adapter.httpAdapter | undefined
    )?.getInstance<FastifyInstance>();
    server?.addHook('onRequest', async (request) => this.note(request));
  }

  private async note({ url, query }: FastifyRequest): Promise<void> {
    if (!url.startsWith(DOWNLOAD) || typeof query !== 'object' || query === null || !('m' in query)) return;
    const messageId = typeof query.m === 'string' ? this.messages.messageFromToken(query.m) : null;
    if (messageId !== null) await this.messages.linkUsed(messageId);
  }
}
