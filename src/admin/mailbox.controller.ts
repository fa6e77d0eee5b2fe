import { Controller, Get, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../infra/config.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { pageQuery, toPage, type PageQuery } from '../infra/http/page.js';
import { sendPage } from '../infra/http/send-page.js';
import { MailboxService, type ParsedMail } from '../infra/mailbox/mailbox.service.js';
import { DomainError } from '../values/domain-error.js';
import { wantsJson } from './accept.js';
import { mailPolicy, mailTab, withLinksInNewTab } from './mail-view.js';
import { OwnerAccess } from './owner-access.service.js';
import { SkipAheadService } from './skip-ahead.service.js';

/**
 * What every recipient would see, instead of mails in the world. Gone (404) as soon as a real relay is set; open on the
 * machine itself, behind the owner's sign-in from elsewhere.
 */
@Controller('mailbox')
export class MailboxController {
  constructor(
    private readonly mailbox: MailboxService,
    private readonly access: OwnerAccess,
    private readonly skipper: SkipAheadService,
    private readonly pages: PageRenderer,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  async list(
    @Query({ schema: pageQuery }) query: PageQuery,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!(await this.mayRead(request, reply))) return;
    const rows = await this.mailbox.list({ beforeId: query.cursor, limit: query.limit + 1 });
    if (wantsJson(request.headers.accept)) {
      const page = toPage(rows, query.limit, ({ id, subject, to, from, receivedAt }) => {
        return { id, subject, to, from, receivedAt };
      });
      await reply.header('cache-control', 'no-store').send(page);
      return;
    }
    const { data, nextCursor } = toPage(rows, query.limit, (mail) => mail);
    await this.page(reply, 'mailbox', { mails: data, nextCursor });
  }

  @Get(':id')
  async mail(
    @Param('id') id: string,
    @Query('tab') tab: string | string[] | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!(await this.mayRead(request, reply))) return;
    const mail = await this.open(id);
    if (wantsJson(request.headers.accept)) {
      const { id, subject, to, from, receivedAt, html, text, headers } = mail;
      await reply
        .header('cache-control', 'no-store')
        .send({ id, subject, to, from, receivedAt, html, text, headers });
      return;
    }
    const { source, text, headers } = mail;
    const frameUrl = `/mailbox/${mail.id}/html`;
    await this.page(reply, 'mail', { mail, tab: mailTab(tab), frameUrl, text, source, headers });
  }

  /** The mail alone, for the frame: no script runs, no form is sent, nothing is fetched but pictures of ours. */
  @Get(':id/html')
  async html(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!(await this.mayRead(request, reply))) return;
    const { html } = await this.open(id);
    await reply
      .header('content-type', 'text/html; charset=utf-8')
      .header('content-security-policy', mailPolicy(this.config.baseUrl))
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('cache-control', 'no-store')
      .send(html === null ? '<!doctype html><p>This mail has no HTML part.</p>' : withLinksInNewTab(html));
  }

  @Post('skip-ahead')
  async skipAhead(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    if (!(await this.mayRead(request, reply))) return;
    this.access.checkOrigin(request);
    if (!this.skipper.isOn) throw notHere();
    const time = await this.skipper.skipAhead();
    reply.header('cache-control', 'no-store');
    if (wantsJson(request.headers.accept)) await reply.status(200).send(time);
    else await reply.redirect('/mailbox', 303);
  }

  private async mayRead(request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    if (!this.config.mailboxOn) throw notHere();
    return this.access.mayReadMailbox(request, reply);
  }

  private async open(id: string): Promise<ParsedMail> {
    const mail = await this.mailbox.open(id);
    if (mail === null) throw new DomainError('MAIL_NOT_FOUND', 'There is no such mail in the mailbox');
    return mail;
  }

  private async page(reply: FastifyReply, template: string, view: object): Promise<void> {
    const demo = this.skipper.isOn
      ? { on: true, ...(await this.skipper.time()), skipAction: '/mailbox/skip-ahead' }
      : { on: false };
    sendPage(
      reply,
      200,
      await this.pages.render(`admin/${template}`, {
        ...view,
        demo,
        signUpUrl: this.config.demo ? '/p/niches' : undefined,
      }),
    );
  }
}

function notHere(): DomainError {
  return new DomainError('ROUTE_NOT_FOUND', 'There is nothing at this address with this method');
}
