import { Body, Controller, Get, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage, withPrivateHeaders } from '../infra/http/send-page.js';
import { LEAVE_REASONS } from '../subscribers/leave-reason.js';
import { LeaveService, type Leaving } from '../subscribers/leave.service.js';
import { UNKNOWN_LINKS } from './unknown-links.js';
import { UnsubscribeService } from './unsubscribe.service.js';

/** Anything at all: the meaning lies in the address, and a provider's odd body must not keep anybody on the list. */
const anything = z.unknown();
/** The page's own button says so; what does not is RFC 8058's one-click POST. */
const fromPage = z.object({ from: z.literal('page') });
const reasonForm = z.object({ reason: z.enum(LEAVE_REASONS), comment: z.string().max(5_000).default('') });

/**
 * RFC 8058: one POST without cookies, login or redirect, in either encoding, and repeating it is harmless. GET and HEAD
 * change nothing for anybody, because scanners send them; they show that the mail came. Whoever holds a forwarded mail learns
 * from these pages whether its reader has left, as from the page of preferences that the mail leads to, and not the address.
 */
@Controller('u')
export class UnsubscribeController {
  constructor(
    private readonly leave: LeaveService,
    private readonly unsubscribe: UnsubscribeService,
    private readonly pages: PageRenderer,
    private readonly messages: MessagesService,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    if (this.leave.read(token) === null) return this.missing(reply);
    // While the database is away the button is there all the same: what it does is kept.
    const mail = await this.looked(token).catch(() => null);
    const view = { action: `/u/${token}`, hasLeft: mail?.hasLeft ?? false, ...senderOf(mail?.senderName) };
    const page = view.hasLeft ? 'pages/unsubscribed' : 'pages/unsubscribe';
    sendPrivatePage(reply, 200, await this.pages.render(page, view));
  }

  @Post(':token')
  async post(
    @Param('token') token: string,
    @Body({ schema: anything }) body: unknown,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const byPage = fromPage.safeParse(body).success;
    const leaving = await this.unsubscribe.byToken(token, byPage ? 'page' : 'one_click');
    if (!byPage) return this.brief(reply, leaving.kind);
    if (leaving.kind === 'kept')
      return sendPrivatePage(reply, 200, await this.pages.render('pages/unsubscribed', { isKept: true }));
    if (leaving.kind !== 'left') return this.missing(reply, leaving.kind);
    const holder = await this.leave.holder('unsubscribe', token);
    const view = { reasonAction: `/u/${token}/reason`, ...senderOf(holder?.senderName) };
    sendPrivatePage(reply, 200, await this.pages.render('pages/unsubscribed', view));
  }

  /** After leaving, for those who want to say why; without an answer everything is done already. */
  @Post(':token/reason')
  async reason(
    @Param('token') token: string,
    @Body({ schema: anything }) body: unknown,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const given = reasonForm.safeParse(body);
    const known = given.success
      ? await this.leave.giveReason(token, given.data.reason, given.data.comment)
      : (await this.leave.holder('unsubscribe', token)) !== null;
    if (!known) return this.missing(reply);
    sendPrivatePage(reply, 200, await this.pages.render('pages/unsubscribed', { thanks: given.success }));
  }

  private async looked(token: string): Promise<{ senderName: string | null; hasLeft: boolean } | null> {
    const holder = await this.leave.holder('unsubscribe', token);
    if (holder === null) return null;
    const { messageId, subscriberId, senderName } = holder;
    await this.messages.linkUsed(messageId);
    const hasLeft = subscriberId !== null && (await this.unsubscribe.hasLeft(subscriberId));
    return { senderName, hasLeft };
  }

  /** A mailbox provider reads the status at most: one that is told of a success would tell the person so. */
  private async brief(reply: FastifyReply, kind: Leaving['kind']): Promise<void> {
    const isDone = kind === 'left' || kind === 'kept';
    const words = isDone ? 'Unsubscribed.' : `${UNKNOWN_LINKS[kind].heading}.`;
    await withPrivateHeaders(reply.status(isDone ? 200 : 404))
      .type('text/plain; charset=utf-8')
      .send(`${words}\n`);
  }

  private async missing(reply: FastifyReply, kind: keyof typeof UNKNOWN_LINKS = 'not_ours'): Promise<void> {
    sendPrivatePage(reply, 404, await this.pages.render('pages/error', UNKNOWN_LINKS[kind]));
  }
}

function senderOf(senderName: string | null | undefined): object {
  return typeof senderName === 'string' ? { senderName, footer: { senderName } } : {};
}
