import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../infra/config.js';
import { seeOther } from '../infra/http/send-page.js';
import { DomainError } from '../values/domain-error.js';
import { OwnerService, type OpenedSession, type Owner } from './owner.service.js';
import { isLocalVisit, isLoopback, isSameOrigin } from './same-origin.js';

const COOKIE = 'ws_session';

/** The door of the owner's pages: who comes in, and how the browser remembers it. */
@Injectable()
export class OwnerAccess {
  constructor(
    private readonly owners: OwnerService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** The owner, or null after the visitor was sent to sign in (or, on a fresh installation, to set it up). */
  async require(request: FastifyRequest, reply: FastifyReply): Promise<Owner | null> {
    const owner = await this.owners.bySession(request.cookies[COOKIE]);
    if (owner !== null) return owner;
    const target = (await this.owners.exists())
      ? `/admin/login?next=${encodeURIComponent(request.url)}`
      : '/admin/setup';
    await seeOther(reply, target);
    return null;
  }

  /** As `require`, for a form; first throws `ORIGIN_FORBIDDEN` as `checkOrigin` does. */
  async requireForPost(request: FastifyRequest, reply: FastifyReply): Promise<Owner | null> {
    this.checkOrigin(request);
    return this.require(request, reply);
  }

  /** As `require`, except that on the owner's own machine the mailbox stands open. */
  async mayReadMailbox(request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const atHome = isLoopback(this.config.host) && isLocalVisit(request.headers);
    return atHome || (await this.require(request, reply)) !== null;
  }

  /** Throws `ORIGIN_FORBIDDEN` for a form that another site sends in the owner's name. */
  checkOrigin(request: FastifyRequest): void {
    const { origin, host } = request.headers;
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

  /** What every page of the owner prints around its content. */
  frame(owner: Owner | null): Record<string, unknown> {
    return {
      mailboxOn: this.config.mailboxOn,
      ...(owner === null ? {} : { owner: { email: owner.email }, signOutAction: '/admin/logout' }),
    };
  }

  private cookieOptions(): { path: string; httpOnly: true; sameSite: 'lax'; secure: boolean } {
    return { path: '/', httpOnly: true, sameSite: 'lax', secure: this.config.baseUrl.startsWith('https:') };
  }
}
