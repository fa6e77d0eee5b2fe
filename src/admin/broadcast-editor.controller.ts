import { Body, Controller, Get, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BroadcastDraft, BroadcastReport } from '../broadcasts/broadcast.js';
import { BroadcastPreviews } from '../broadcasts/broadcast-previews.service.js';
import { BroadcastsService } from '../broadcasts/broadcasts.service.js';
import { CONFIG, type Config } from '../infra/config.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { seeOther, sendPage } from '../infra/http/send-page.js';
import { DomainError } from '../values/domain-error.js';
import {
  broadcastFormPage,
  newBroadcast,
  readBroadcast,
  typedBroadcast,
  typedOfBroadcast,
  type BroadcastTyped,
} from './broadcast-form.js';
import { mailPolicy, withLinksInNewTab } from './mail-view.js';
import { OwnerAccess } from './owner-access.service.js';
import type { Owner } from './owner.service.js';
import { checkedId } from './page-id.schemas.js';

/** Where the owner writes a broadcast, and sees what its readers will. */
@Controller('admin/broadcasts')
export class BroadcastEditorController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly broadcasts: BroadcastsService,
    private readonly previews: BroadcastPreviews,
    private readonly pages: PageRenderer,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get('new')
  async blank(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    await this.page(reply, owner, { typed: newBroadcast(await this.previews.choices()) });
  }

  @Post()
  async create(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.requireForPost(request, reply);
    if (owner !== null) await this.save(body, { owner, reply, before: null });
  }

  @Get(':id/edit')
  async edit(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const before = await this.draft(id);
    await this.page(reply, owner, { typed: typedOfBroadcast(before), before });
  }

  @Post(':id/edit')
  async change(
    @Param('id') id: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.requireForPost(request, reply);
    if (owner !== null) await this.save(body, { owner, reply, before: await this.draft(id) });
  }

  /** The mail alone, for the frame: no script runs, no form is sent, nothing is fetched but pictures of ours. */
  @Get(':id/preview')
  async preview(
    @Param('id') id: string,
    @Query('arm') arm: string | string[] | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if ((await this.access.require(request, reply)) === null) return;
    const broadcast = await this.broadcasts.get(checkedId(id, 'broadcast'));
    const { html } = await this.previews.preview(broadcast, typeof arm === 'string' ? Number(arm) : 0);
    await reply
      .header('content-type', 'text/html; charset=utf-8')
      .header('content-security-policy', mailPolicy(this.config.baseUrl))
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('cache-control', 'no-store')
      .send(withLinksInNewTab(html));
  }

  private async save(
    body: unknown,
    { owner, reply, before }: { owner: Owner; reply: FastifyReply; before: BroadcastReport | null },
  ): Promise<void> {
    const typed = typedBroadcast(body);
    const read = readBroadcast(typed, before);
    if ('errors' in read) return this.page(reply, owner, { typed, before, status: 422, errors: read.errors });
    try {
      const { id } = await this.stored(read, before);
      await seeOther(reply, `/admin/broadcasts/${id}`);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const errors = { [fieldOf(error)]: error.message };
      await this.page(reply, owner, { typed, before, status: 422, errors });
    }
  }

  private async stored(draft: BroadcastDraft, before: BroadcastReport | null): Promise<BroadcastReport> {
    if (before === null) return this.broadcasts.create(draft);
    const { audience, ...rest } = draft;
    return this.broadcasts.edit(before.id, before.resendOf === null ? { ...rest, audience } : rest);
  }

  private async draft(id: string): Promise<BroadcastReport> {
    const broadcast = await this.broadcasts.get(checkedId(id, 'broadcast'));
    if (broadcast.state === 'draft') return broadcast;
    throw new DomainError('BROADCAST_STATE_CONFLICT', 'It has been started, and its words are frozen');
  }

  private async page(
    reply: FastifyReply,
    owner: Owner,
    {
      typed,
      before = null,
      status = 200,
      errors = {},
    }: {
      typed: BroadcastTyped;
      before?: BroadcastReport | null;
      status?: number;
      errors?: Record<string, string>;
    },
  ): Promise<void> {
    const form = broadcastFormPage(typed, await this.previews.choices(), errors);
    const action = before === null ? '/admin/broadcasts' : `/admin/broadcasts/${before.id}/edit`;
    const back = before === null ? '/admin/broadcasts' : `/admin/broadcasts/${before.id}`;
    const isResend = before !== null && before.resendOf !== null;
    const view = { ...this.access.frame(owner), form, action, back, isNew: before === null, isResend };
    sendPage(reply, status, await this.pages.render('admin/broadcast-form', view));
  }
}

/** Beside which field a refusal of the product stands. */
function fieldOf({ code }: DomainError): string {
  if (code === 'BROADCAST_SPLIT_INVALID') return 'arms.0.subject';
  if (code === 'SEGMENT_NOT_FOUND') return 'audience';
  return 'template';
}
