import { type CanActivate, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OwnerAccess } from './owner-access.service.js';

const SIGNED_OUT = 'wellspring:signed-out';

/** A page below `/admin` for whoever has not signed in. */
export const SignedOut = (): MethodDecorator => SetMetadata(SIGNED_OUT, true);

/**
 * Lets nobody but the owner below `/admin`, except where `@SignedOut()` says so, and takes a form only from our own
 * pages. It goes by the pattern of the route that was matched, so no page can forget it.
 */
@Injectable()
export class OwnerGuard implements CanActivate {
  constructor(private readonly access: OwnerAccess) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    if (!/^\/admin(?:\/|$)/.test(request.routeOptions.url ?? '')) return true;
    this.access.checkOrigin(request);
    if (Reflect.getMetadata(SIGNED_OUT, context.getHandler()) === true) return true;
    return this.access.admit(request, http.getResponse<FastifyReply>());
  }
}
