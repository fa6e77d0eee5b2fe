import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../infra/config.js';
import { seeOther } from '../infra/http/send-page.js';
import { DomainError } from '../values/domain-error.js';
import { rememberOwner } from './owner-of-request.js';
import { OwnerService, type OpenedSession } from './owner.service.js';
import { isSameOrigin } from './same-origin.js';

const COOKIE = 'ws_session';

/** The door of the owner's pages: who comes in, and how the browser remembers it. */
@Injectable()
export class OwnerAccess {
  constructor(
    private readonly owners: OwnerService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Whether the owner asks, whom `ownerOf` then knows. Anybody else is sent to sign in (on a fresh installation, to set
   * it up), and with `false` the request is answered: a guard need not say more.
   */
  async admit(request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const owner = await this.owners.bySession(request.cookies[COOKIE]);
    if (owner !== null) {
      rememberOwner(request, owner);
      return true;
    }
    const target = (await this.owners.exists())
      ? `/admin/login?next=${encodeURIComponent(request.url)}`
      : '/admin/setup';
    await seeOther(reply, target);
    return false;
  }

  /** Throws `ORIGIN_FORBIDDEN` for a form that another site sends in the owner's name. */
  checkOrigin({ method, headers: { origin, host } }: FastifyRequest): void {
    if (method === 'GET' || method === 'HEAD') return;
    if (isSameOrigin(origin, { baseUrl: this.config.baseUrl, host })) return;
    throw new DomainError('ORIGIN_FORBIDDEN', 'This form was not sent from a page of this server');
  }

  remember(reply: FastifyReply, { token, expiresAt }: OpenedSession): void {
    reply.setCookie(COOKIE, token, { ...this.cookieOptions(), expires: expiresAt });
  }

  async forget(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    await this.owners.logout(request.cookies[COOKIE]);
    reply.clearCookie(COOKIE, this.cookieOptions());
  }

  private cookieOptions(): { path: string; httpOnly: true; sameSite: 'lax'; secure: boolean } {
    return { path: '/', httpOnly: true, sameSite: 'lax', secure: this.config.baseUrl.startsWith('https:') };
  }
}
