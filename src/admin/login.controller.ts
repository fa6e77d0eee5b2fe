import { Body, Controller, Get, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fieldProblems, messagesByField } from '../infra/http/field-problems.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { seeOther, sendPage } from '../infra/http/send-page.js';
import { firstRunForm, loginForm, typedEmail } from './admin.schemas.js';
import { OwnerAccess } from './owner-access.service.js';
import { OwnerService } from './owner.service.js';
import { returnPath } from './same-origin.js';

/** First run, sign-in, sign-out. */
@Controller('admin')
export class LoginController {
  constructor(
    private readonly owners: OwnerService,
    private readonly access: OwnerAccess,
    private readonly pages: PageRenderer,
  ) {}

  @Get('setup')
  async setup(@Res() reply: FastifyReply): Promise<void> {
    if (await this.owners.exists()) return this.go(reply, '/admin/login');
    return this.page(reply, 200, 'first-run', { values: { email: '' }, errors: {} });
  }

  @Post('setup')
  async createOwner(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    this.access.checkOrigin(request);
    if (await this.owners.exists()) return this.go(reply, '/admin/login');
    const form = firstRunForm.safeParse(body ?? {});
    if (!form.success) {
      const errors = messagesByField(fieldProblems(form.error.issues, 'form', firstRunForm));
      return this.page(reply, 422, 'first-run', { values: { email: typedEmail(body) }, errors });
    }
    const session = await this.owners.createFirst(form.data);
    if (session === null) return this.go(reply, '/admin/login');
    this.access.remember(reply, session);
    return this.go(reply, '/admin');
  }

  @Get('login')
  async loginPage(
    @Query('next') next: string | string[] | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!(await this.owners.exists())) return this.go(reply, '/admin/setup');
    const wanted = returnPath(typeof next === 'string' ? next : undefined);
    return this.page(reply, 200, 'login', { values: { email: '' }, errors: {}, next: wanted });
  }

  @Post('login')
  async login(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    this.access.checkOrigin(request);
    const form = loginForm.safeParse(body ?? {});
    const values = { email: typedEmail(body) };
    if (!form.success) {
      const errors = messagesByField(fieldProblems(form.error.issues, 'form', loginForm));
      return this.page(reply, 422, 'login', { values, errors, next: '/admin' });
    }
    const next = returnPath(form.data.next);
    const outcome = await this.owners.login(form.data, request.ip);
    switch (outcome.kind) {
      case 'signed_in':
        this.access.remember(reply, outcome.session);
        return this.go(reply, next);
      case 'limited':
        reply.header('retry-after', String(outcome.retryAfterSeconds));
        return this.page(reply, 429, 'login', {
          values,
          next,
          errors: {
            form: `Too many tries. Wait ${Math.ceil(outcome.retryAfterSeconds / 60)} minutes, then try again.`,
          },
        });
      case 'wrong':
        return this.page(reply, 422, 'login', {
          values,
          next,
          errors: { form: 'The address or the password is wrong.' },
        });
    }
  }

  @Post('logout')
  async logout(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    this.access.checkOrigin(request);
    await this.access.forget(request, reply);
    return this.go(reply, '/admin/login');
  }

  private async page(reply: FastifyReply, status: number, name: string, view: object): Promise<void> {
    const action = name === 'login' ? '/admin/login' : '/admin/setup';
    sendPage(reply, status, await this.pages.render(`admin/${name}`, { action, ...view }));
  }

  private async go(reply: FastifyReply, path: string): Promise<void> {
    await seeOther(reply, path);
  }
}
