import { Body, Controller, Get, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fieldProblems, messagesByField } from '../../infra/http/field-problems.js';
import { firstRunForm, loginForm, typedEmail } from './login.schemas.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { OwnerAccess } from './owner-access.service.js';
import { SignedOut } from './owner.guard.js';
import { OwnerService } from './owner.service.js';
import { returnPath } from './same-origin.js';

const TO_SETUP = new SeeOther('/admin/setup');
const TO_LOGIN = new SeeOther('/admin/login');
const NO_CODE =
  'This is not the set-up code. The server printed it when it started; start it again to see it.';

/** First run, sign-in, sign-out. */
@Controller('admin')
export class LoginController {
  constructor(
    private readonly owners: OwnerService,
    private readonly access: OwnerAccess,
  ) {}

  @Get('setup')
  @SignedOut()
  async setup(@Req() request: FastifyRequest): Promise<Answer> {
    if (await this.owners.exists()) return TO_LOGIN;
    return setupPage({ values: { email: '' }, errors: {}, asksCode: this.access.asksSetupCode(request) });
  }

  @Post('setup')
  @SignedOut()
  async createOwner(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Answer> {
    if (await this.owners.exists()) return TO_LOGIN;
    const form = firstRunForm.safeParse(body ?? {});
    const again = { values: { email: typedEmail(body) }, asksCode: this.access.asksSetupCode(request) };
    if (!form.success) {
      const errors = messagesByField(fieldProblems(form.error.issues, 'form', firstRunForm));
      return setupPage({ ...again, errors }, 422);
    }
    if (!this.access.mayCreateOwner(request, form.data.code))
      return setupPage({ ...again, errors: { code: NO_CODE } }, 422);
    const session = await this.owners.createFirst(form.data);
    if (session === null) return TO_LOGIN;
    this.access.remember(reply, session);
    return new SeeOther('/admin');
  }

  @Get('login')
  @SignedOut()
  async loginPage(
    @Query('next') next: string | string[] | undefined,
    @Query('for') purpose: unknown,
  ): Promise<Answer> {
    if (!(await this.owners.exists())) return TO_SETUP;
    const wanted = returnPath(typeof next === 'string' ? next : undefined);
    return loginPage({
      ...{ values: { email: '' }, errors: {}, next: wanted },
      isForDownload: purpose === 'download',
    });
  }

  @Post('login')
  @SignedOut()
  async login(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Answer> {
    const form = loginForm.safeParse(body ?? {});
    const values = { email: typedEmail(body) };
    if (!form.success) {
      const errors = messagesByField(fieldProblems(form.error.issues, 'form', loginForm));
      return loginPage({ values, errors, next: '/admin' }, 422);
    }
    const next = returnPath(form.data.next);
    const outcome = await this.owners.login(form.data, {
      ip: request.ip,
      browserId: this.access.browserId(request),
    });
    switch (outcome.kind) {
      case 'signed_in':
        this.access.remember(reply, outcome.session);
        return new SeeOther(next);
      case 'limited': {
        const { retryAfterSeconds } = outcome;
        reply.header('retry-after', String(retryAfterSeconds));
        const wait = `Too many tries. Wait ${Math.ceil(retryAfterSeconds / 60)} minutes, then try again.`;
        return loginPage({ values, next, errors: { form: wait } }, 429);
      }
      case 'wrong':
        return loginPage({ values, next, errors: { form: 'The address or the password is wrong.' } }, 422);
    }
  }

  @Post('logout')
  @SignedOut()
  async logout(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Answer> {
    await this.access.forget(request, reply);
    return TO_LOGIN;
  }
}

function setupPage(view: object, status = 200): Page {
  return new Page('first-run', { action: '/admin/setup', ...view }, status);
}

function loginPage(view: object, status = 200): Page {
  return new Page('login', { action: '/admin/login', ...view }, status);
}
