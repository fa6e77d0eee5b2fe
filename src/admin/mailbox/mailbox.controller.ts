import {
  Controller,
  Get,
  Header,
  HttpCode,
  Inject,
  Param,
  Post,
  Query,
  Req,
  UseGuards,
} from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../../infra/config.js';
import { pageQuery, toPage, type PageQuery } from '../../infra/http/page.js';
import { type MailboxMail, MailboxService, type ParsedMail } from '../../infra/mailbox/mailbox.service.js';
import { DomainError } from '../../values/domain-error.js';
import { wantsJson } from './wants-json.js';
import { type Answer, MailFrame, Page, SeeOther } from '../answers/answer.js';
import { mailTab } from './mail-view.js';
import { MailboxGuard, notHere } from './mailbox.guard.js';
import { SkipAheadService } from './skip-ahead.service.js';

/** What every recipient would see, instead of mails in the world; a page, or JSON for programs. */
@Controller('mailbox')
@UseGuards(MailboxGuard)
export class MailboxController {
  constructor(
    private readonly mailbox: MailboxService,
    private readonly skipper: SkipAheadService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  @Header('cache-control', 'no-store')
  async list(
    @Query({ schema: pageQuery }) query: PageQuery,
    @Req() { headers: { accept } }: FastifyRequest,
  ): Promise<Answer | object> {
    const rows = await this.mailbox.list({ beforeId: query.cursor, limit: query.limit + 1 });
    if (wantsJson(accept)) return toPage(rows, query.limit, headOf);
    const { data, nextCursor } = toPage(rows, query.limit, (mail) => mail);
    return this.page('mailbox', { mails: data, nextCursor });
  }

  @Get(':id')
  @Header('cache-control', 'no-store')
  async mail(
    @Param('id') id: string,
    @Query('tab') tab: string | string[] | undefined,
    @Req() { headers: { accept } }: FastifyRequest,
  ): Promise<Answer | object> {
    const mail = await this.open(id);
    const { html, text, source, headers } = mail;
    if (wantsJson(accept)) return { ...headOf(mail), html, text, headers };
    const frameUrl = `/mailbox/${mail.id}/html`;
    return this.page('mail', { mail, tab: mailTab(tab), frameUrl, text, source, headers });
  }

  @Get(':id/html')
  async html(@Param('id') id: string): Promise<Answer> {
    const { html } = await this.open(id);
    return new MailFrame(html ?? '<!doctype html><p>This mail has no HTML part.</p>');
  }

  @Post('skip-ahead')
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  async skipAhead(@Req() { headers: { accept } }: FastifyRequest): Promise<Answer | object> {
    if (!this.skipper.isOn) throw notHere();
    const time = await this.skipper.skipAhead();
    return wantsJson(accept) ? time : new SeeOther('/mailbox');
  }

  private async open(id: string): Promise<ParsedMail> {
    const mail = await this.mailbox.open(id);
    if (mail === null) throw new DomainError('MAIL_NOT_FOUND', 'There is no such mail in the mailbox');
    return mail;
  }

  private async page(template: string, view: object): Promise<Page> {
    const demo = this.skipper.isOn
      ? { on: true, ...(await this.skipper.time()), skipAction: '/mailbox/skip-ahead' }
      : { on: false };
    return new Page(template, { ...view, demo, signUpUrl: this.config.demo ? '/p/niches' : undefined });
  }
}

/** What programs are told of a mail in a list. */
function headOf({ id, subject, to, from, receivedAt }: MailboxMail): Omit<MailboxMail, 'unread'> {
  return { id, subject, to, from, receivedAt };
}
