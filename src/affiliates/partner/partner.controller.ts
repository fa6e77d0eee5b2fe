import { Body, Controller, Get, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CONFIG, type Config } from '../../infra/config.js';
import { cursorOf } from '../../infra/http/page.js';
import { PageRenderer } from '../../infra/http/page-renderer.js';
import { seeOther, sendPrivatePage } from '../../infra/http/send-page.js';
import { parseEmailAddress } from '../../values/email-address.js';
import { PartnerAccess } from './partner-access.service.js';
import { LOGIN_MINUTES } from './partner-mails.service.js';
import { PartnerPage } from './partner-page.service.js';

const COOKIE = 'ws_partner';
const MAX_TYPED_CHARS = 254;

const loginForm = z.object({ email: z.string().trim().max(MAX_TYPED_CHARS) });
const anything = z.unknown();

/** The affiliates' own page. Who wants to see it types an address and gets a link by mail; there is no password. */
@Controller('partner')
export class PartnerController {
  constructor(
    private readonly access: PartnerAccess,
    private readonly page: PartnerPage,
    private readonly pages: PageRenderer,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  async show(
    @Query('cursor') cursor: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const id = await this.access.bySession(request.cookies[COOKIE]);
    if (id === null) return this.login(reply, 200, {});
    await this.send(reply, 200, 'pages/partner', await this.page.view(id, cursorOf(cursor)));
  }

  /** The same answer for every address: nobody learns here who is an affiliate. */
  @Post('login')
  async ask(
    @Body({ schema: anything }) body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const typed = loginForm.safeParse(body);
    const email = parseEmailAddress(typed.success ? typed.data.email : '');
    const value = typed.success ? typed.data.email : '';
    if (!email.ok) return this.login(reply, 422, { value, error: 'Write your whole email address.' });
    const verdict = await this.access.take(request.ip);
    if (!verdict.allowed) {
      const { retryAfterSeconds } = verdict;
      reply.header('retry-after', String(retryAfterSeconds));
      const error = `Too many tries. Wait ${Math.ceil(retryAfterSeconds / 60)} minutes, then try again.`;
      return this.login(reply, 429, { value, error });
    }
    await this.login(reply, 200, { isAsked: true });
    this.access.ask(email);
  }

  /** Opening the link asks, the button enters: gateways that look into mails must not use it up. */
  @Get('enter/:token')
  async door(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    if (!(await this.access.isOpen(token))) return this.refused(reply);
    const view = { action: `/partner/enter/${encodeURIComponent(token)}`, ...(await this.page.footer()) };
    await this.send(reply, 200, 'pages/partner-enter', view);
  }

  @Post('enter/:token')
  async enter(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const opened = await this.access.enter(token);
    if (opened === null) return this.refused(reply);
    reply.setCookie(COOKIE, opened.session, { ...this.cookieOptions(), expires: opened.endsAt });
    await seeOther(reply, '/partner');
  }

  @Post('logout')
  async leave(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    await this.access.leave(request.cookies[COOKIE]);
    reply.clearCookie(COOKIE, this.cookieOptions());
    await seeOther(reply, '/partner');
  }

  private async login(
    reply: FastifyReply,
    status: number,
    shown: { value?: string; error?: string; isAsked?: boolean },
  ): Promise<void> {
    const view = { ...shown, minutes: LOGIN_MINUTES, ...(await this.page.footer()) };
    await this.send(reply, status, 'pages/partner-login', view);
  }

  private async refused(reply: FastifyReply): Promise<void> {
    const view = {
      heading: 'This link works no more',
      message: `A link opens your page once, within ${LOGIN_MINUTES} minutes.`,
      action: { url: '/partner', label: 'Get a new one' },
      ...(await this.page.footer()),
    };
    await this.send(reply, 410, 'pages/expired-link', view);
  }

  private async send(reply: FastifyReply, status: number, template: string, view: object): Promise<void> {
    sendPrivatePage(reply, status, await this.pages.render(template, view));
  }

  private cookieOptions(): { path: string; httpOnly: true; sameSite: 'lax'; secure: boolean } {
    const secure = this.config.baseUrl.startsWith('https:');
    return { path: '/partner', httpOnly: true, sameSite: 'lax', secure };
  }
}
