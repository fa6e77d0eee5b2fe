import { Controller, Get, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { takesNoWrites } from '../infra/database/lost-connection.js';
import { KeptPages } from '../infra/templates/kept-pages.service.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { ConfirmationService } from './confirmation.service.js';
import type { Form } from './forms.service.js';
import { KeptSignups } from './kept-signups.service.js';
import type { Origin } from './origin.js';
import { footerOf } from './squeeze-page.controller.js';

/** Why a link confirms nothing any more. */
const OVER = {
  left: {
    heading: 'This link has been used',
    message: 'You confirmed with it, and have left since. You are welcome back by signing up again.',
  },
  moved: {
    heading: 'Your address has changed',
    message:
      'This link went to the one before. Please press the button of the mail that came to your new address, or sign up again with it.',
  },
} as const;

/**
 * Mail scanners open every link, so opening this one changes nothing: the button confirms. A press that the database does not take is
 * kept: the mail is open now, and hardly ever once more.
 */
@Controller('confirm')
export class ConfirmController {
  constructor(
    private readonly confirmation: ConfirmationService,
    private readonly kept: KeptSignups,
    private readonly pages: KeptPages,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    if (!this.confirmation.isOurs(token)) return this.missing(reply);
    const action = `/confirm/${token}`;
    try {
      const form = await this.confirmation.peek(token);
      if (!form) return await this.missing(reply);
      const { content, sender } = form;
      const view = { action, form: { title: content.funnelTitle }, sender, footer: footerOf(form) };
      sendPrivatePage(reply, 200, await this.pages.render(content.pages, 'pages/confirm', view));
    } catch (error) {
      if (!takesNoWrites(error)) throw error;
      // Whose form it is nobody knows now; the button is there all the same.
      sendPrivatePage(reply, 200, await this.pages.render(undefined, 'pages/confirm', { action }));
    }
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
    try {
      await this.confirmNow(token, origin, reply);
    } catch (error) {
      if (!takesNoWrites(error) || !this.confirmation.isOurs(token)) throw error;
      const userAgent = origin.userAgent.slice(0, 500);
      const kept = { kind: 'confirmation', at: this.clock.now(), token } as const;
      if (!(await this.kept.keep({ ...kept, origin: { ...origin, userAgent } }))) throw error;
      const view = { isConfirmed: true };
      sendPrivatePage(reply, 200, await this.pages.render(undefined, 'pages/mail-comes', view));
    }
  }

  private async confirmNow(token: string, origin: Origin, reply: FastifyReply): Promise<void> {
    const confirmed = await this.confirmation.confirm(token, origin);
    if (!confirmed) return this.missing(reply);
    const { form } = confirmed;
    if (confirmed.kind === 'left' || confirmed.kind === 'moved') return this.over(reply, confirmed);
    if (confirmed.kind === 'refused') return this.refused(reply, form);
    const { download, mailComes } = confirmed;
    const view = {
      form: { title: form.content.funnelTitle },
      footer: footerOf(form),
      mailComes,
      ...(this.config.mailboxOn ? { mailboxUrl: '/mailbox' } : {}),
      ...(download === null ? {} : { downloadUrl: download.url, downloadName: download.name }),
    };
    sendPrivatePage(reply, 200, await this.pages.render(form.content.pages, 'pages/confirmed', view));
  }

  private async over(
    reply: FastifyReply,
    { kind, form }: { kind: keyof typeof OVER; form: Form },
  ): Promise<void> {
    const view = {
      ...OVER[kind],
      action: { url: `/p/${form.slug}`, label: 'Sign up again' },
      footer: footerOf(form),
    };
    sendPrivatePage(reply, 410, await this.pages.render(undefined, 'pages/expired-link', view));
  }

  private async refused(reply: FastifyReply, form: Form): Promise<void> {
    const view = {
      status: 409,
      heading: 'This address cannot be confirmed',
      message: 'Mail to it came back, or was reported as unwanted. Please sign up with another address.',
      footer: footerOf(form),
    };
    sendPrivatePage(reply, 409, await this.pages.render(undefined, 'pages/error', view));
  }

  private async missing(reply: FastifyReply): Promise<void> {
    const message = 'Please open the link from the mail again, whole. If it is broken, sign up once more.';
    sendPrivatePage(
      reply,
      404,
      await this.pages.render(undefined, 'pages/error', {
        status: 404,
        heading: 'This link is not complete',
        message,
      }),
    );
  }
}
