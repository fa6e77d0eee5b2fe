import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../../infra/config.js';
import { DomainError } from '../../values/domain-error.js';
import { OwnerAccess } from '../access/owner-access.service.js';
import { isAtHome, isLoopback } from '../access/same-origin.js';

/** The mailbox is gone as soon as a real relay is set. It stands open on the owner's own machine, and to the owner. */
@Injectable()
export class MailboxGuard implements CanActivate {
  constructor(
    private readonly access: OwnerAccess,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (!this.config.mailboxOn) throw notHere();
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const { host, baseUrl } = this.config;
    const atHome = isLoopback(host) && isAtHome(request, baseUrl);
    if (!atHome && !(await this.access.admit(request, http.getResponse<FastifyReply>()))) return false;
    this.access.checkOrigin(request);
    return true;
  }
}

export function notHere(): DomainError {
  return new DomainError('ROUTE_NOT_FOUND', 'There is nothing at this address with this method');
}
