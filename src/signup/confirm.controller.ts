import { Controller, Get, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { ConfirmationService } from './confirmation.service.js';
import { footerOf } from './squeeze-page.controller.js';

/** Mail scanners open every link, so opening this one changes nothing: the button confirms. */
@Controller('confirm')
export class ConfirmController {
  constructor(
    private readonly confirmation: ConfirmationService,
    private readonly pages: PageRenderer,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const form = await this.confirmation.peek(token);
    if (!form) return this.missing(reply);
    const view = {
      action: `/confirm/${token}`,
      form: { title: form.content.funnelTitle },
      sender: form.sender,
      footer: footerOf(form),
    };
    sendPrivatePage(reply, 200, await this.pages.render('pages/confirm', view));
  }

  @Post(':token')
  async confirm(
    @Param('token') token: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const origin = {
      ip: request.ip,
      userAgent: request.headers['user-agent'] ?? '',
      pageUrl: 'confirmation page',
    };
    const confirmed = await this.confirmation.confirm(token, origin);
    if (!confirmed) return this.missing(reply);
    const { form, download } = confirmed;
    const view = {
      form: { title: form.content.funnelTitle },
      footer: footerOf(form),
      ...(download === null ? {} : { downloadUrl: download.url, downloadName: download.name }),
    };
    sendPrivatePage(reply, 200, await this.pages.render('pages/confirmed', view));
  }

  private async missing(reply: FastifyReply): Promise<void> {
    const message = 'Please open the link from the mail again, whole. If it is broken, sign up once more.';
    sendPrivatePage(
      reply,
      404,
      await this.pages.render('pages/error', { status: 404, heading: 'This link is not complete', message }),
    );
  }
}
