import { Body, Controller, Get, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { maskEmailAddress } from '../values/email-address.js';
import { LeaveService } from './leave.service.js';

const fields = z.record(z.string(), z.unknown()).nullish();

/**
 * RFC 8058: one POST without cookies, login or redirect, in either encoding, and repeating it is harmless. GET and HEAD
 * change nothing, because scanners send them.
 */
@Controller('u')
export class UnsubscribeController {
  constructor(
    private readonly leave: LeaveService,
    private readonly pages: PageRenderer,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.leave.person('unsubscribe', token);
    if (person === null) return this.missing(reply);
    if (person === 'gone') return this.done(reply, 'the sender', null);
    const view = {
      action: `/u/${token}`,
      senderName: await this.leave.senderName(person.id),
      addressMasked: maskEmailAddress(person.email),
      preferencesUrl: this.leave.link('unsubscribe', token, 'preferences'),
    };
    sendPrivatePage(reply, 200, await this.pages.render('pages/unsubscribe', view));
  }

  @Post(':token')
  async unsubscribe(
    @Param('token') token: string,
    @Body({ schema: fields }) body: z.output<typeof fields>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const person = await this.leave.person('unsubscribe', token);
    if (person === null) return this.missing(reply);
    if (person === 'gone') return this.done(reply, 'the sender', null);
    await this.leave.unsubscribe(
      person.id,
      body?.['List-Unsubscribe'] === 'One-Click' ? 'one_click' : 'page',
    );
    return this.done(reply, await this.leave.senderName(person.id), maskEmailAddress(person.email));
  }

  private async done(reply: FastifyReply, senderName: string, addressMasked: string | null): Promise<void> {
    sendPrivatePage(
      reply,
      200,
      await this.pages.render('pages/unsubscribed', {
        senderName,
        ...(addressMasked === null ? {} : { addressMasked }),
      }),
    );
  }

  private async missing(reply: FastifyReply): Promise<void> {
    const message = 'Please open the link from the mail again, whole. Every mail has one at its end.';
    sendPrivatePage(
      reply,
      404,
      await this.pages.render('pages/error', { status: 404, heading: 'This link is not complete', message }),
    );
  }
}
