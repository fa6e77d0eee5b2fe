import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { DomainError } from '../../values/domain-error.js';
import { apiRouteOf } from '../http/api-route.js';
import { ApiKeysService } from './api-keys.service.js';
import { rememberCaller } from './caller.js';

const BEARER = /^Bearer +([\x21-\x7e]{1,200}) *$/i;

/**
 * Lets nobody into `/api/v1` without a key, except where `@ApiRoute({ public: true })` says so. It goes by the pattern
 * of the route that was matched, so no spelling of an address gets around it, and a forgotten decorator closes a route
 * rather than opening it.
 */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(private readonly apiKeys: ApiKeysService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    if (!isProtected(request.routeOptions.url) || apiRouteOf(context.getHandler())?.public === true)
      return true;
    const header = request.headers.authorization;
    if (header === undefined) {
      throw new DomainError(
        'API_KEY_UNAUTHORIZED',
        'Send an API key in the header "Authorization: Bearer KEY"',
      );
    }
    const key = BEARER.exec(header)?.[1];
    const apiKeyId = key === undefined ? null : await this.apiKeys.authenticate(key);
    if (apiKeyId === null) {
      throw new DomainError('API_KEY_UNAUTHORIZED', 'This API key does not exist or has been revoked');
    }
    rememberCaller(request, apiKeyId);
    return true;
  }
}

function isProtected(pattern: string | undefined): boolean {
  return pattern !== undefined && /^\/api\/v1(?:\/|$)/.test(pattern);
}
