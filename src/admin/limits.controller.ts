import { Body, Controller, Get, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SendingSettingsService } from '../delivery/pacing/sending-settings.service.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { seeOther, sendPage } from '../infra/http/send-page.js';
import { limitsPage, readLimits, typedFrom, typedOf, type Typed } from './limits-form.js';
import { OwnerAccess } from './owner-access.service.js';
import type { Owner } from './owner.service.js';

/** The limits of sending as a form; the same settings as `PUT /api/v1/sending`. */
@Controller('admin/sending/limits')
export class LimitsController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly settings: SendingSettingsService,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async show(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    await this.page(reply, owner, { status: 200, typed: typedOf(await this.settings.read()), errors: {} });
  }

  @Post()
  async save(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.requireForPost(request, reply);
    if (owner === null) return;
    const typed = typedFrom(body);
    const read = readLimits(typed, await this.settings.read());
    if ('errors' in read) return this.page(reply, owner, { status: 422, typed, errors: read.errors });
    await this.settings.replace(read);
    await seeOther(reply, '/admin/sending#limits');
  }

  private async page(
    reply: FastifyReply,
    owner: Owner,
    { status, typed, errors }: { status: number; typed: Typed; errors: Record<string, string> },
  ): Promise<void> {
    const view = { ...this.access.frame(owner), ...limitsPage(typed, errors) };
    sendPage(reply, status, await this.pages.render('admin/limits', view));
  }
}
