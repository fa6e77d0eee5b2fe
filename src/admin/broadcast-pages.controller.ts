import { Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BroadcastsService } from '../broadcasts/broadcasts.service.js';
import { decodeCursor, idSchema, toPage } from '../infra/http/page.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPage } from '../infra/http/send-page.js';
import { DomainError } from '../values/domain-error.js';
import { broadcastView } from './broadcast-view.js';
import { OwnerAccess } from './owner-access.service.js';

/** Each row counts its mails, which takes a moment for big ones. */
const PAGE_ROWS = 20;

/** How the owner's broadcasts stand, and the brakes. They are written and started by REST. */
@Controller('admin/broadcasts')
export class BroadcastPagesController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly broadcasts: BroadcastsService,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async list(
    @Query('cursor') cursor: string | string[] | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const beforeId = typeof cursor === 'string' ? (decodeCursor(cursor) ?? undefined) : undefined;
    const rows = await this.broadcasts.reportsOf({ beforeId, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, broadcastView);
    const view = { ...this.access.frame(owner), broadcasts: data, nextCursor };
    sendPage(reply, 200, await this.pages.render('admin/broadcasts', view));
  }

  @Post(':id/:action')
  async act(
    @Param('id') id: string,
    @Param('action') action: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if ((await this.access.require(request, reply)) === null) return;
    this.access.checkOrigin(request);
    if (!idSchema.safeParse(id).success) throw notFound();
    if (action === 'pause') await this.broadcasts.pause(id);
    else if (action === 'resume') await this.broadcasts.resume(id);
    else if (action === 'cancel') await this.broadcasts.cancel(id);
    else throw notFound();
    await reply.header('cache-control', 'no-store').redirect('/admin/broadcasts', 303);
  }
}

function notFound(): DomainError {
  return new DomainError('BROADCAST_NOT_FOUND', 'There is no such broadcast');
}
