import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { takesWrites } from '../../infra/database/takes-writes.queries.js';
import { seeOther } from '../../infra/http/send-page.js';
import { hasJustSignedIn } from './owner-of-request.js';

/**
 * Before a table of people: the link to it works for an hour from when the password was typed, and then asks for it anew. A
 * browser that was left open, or a cookie that was stolen, gives nobody away. Leads back to the page that the link stands on,
 * which is one step up from it.
 */
@Injectable()
export class JustSignedInGuard implements CanActivate {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    if (hasJustSignedIn(request, this.clock.now())) return true;
    // Nobody can sign in by one that takes no writes, and then the list is what the owner wants to save.
    if (!(await takesWrites(this.dataSource.manager))) return true;
    const { pathname, search } = new URL(request.url, 'http://localhost');
    const back = encodeURIComponent(`${pathname.replace(/\/[^/]*$/, '')}${search}`);
    await seeOther(http.getResponse<FastifyReply>(), `/admin/login?for=download&next=${back}`);
    return false;
  }
}
