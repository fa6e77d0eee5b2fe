import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { DomainError } from '../../values/domain-error.js';
import { type ApiRouteOptions, apiRouteOf } from './api-route.js';
import { etagOf, isKnown } from './etag.js';

/** `ETag` on the answers of routes that say what of them is written, and 304 to whoever has the answer already. */
@Injectable()
export class EtagInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const route = apiRouteOf(context.getHandler());
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    if (route !== undefined) refuseUntakenMatch(request, route);
    const written = route?.etag;
    if (written === undefined) return next.handle();
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    return next.handle().pipe(
      map((answer: unknown) => {
        // A refusal that is replayed is the resource no more than any other.
        if (reply.statusCode >= 300) return answer;
        const etag = etagOf(answer, written);
        reply.header('etag', etag);
        if (request.method !== 'GET' || !isKnown(request.headers['if-none-match'], etag)) return answer;
        reply.status(304);
        return undefined;
      }),
    );
  }
}

/** Whoever sends it relies on it: the write is not done unlooked. */
function refuseUntakenMatch({ method, headers }: FastifyRequest, { ifMatch }: ApiRouteOptions): void {
  if (method === 'GET' || method === 'HEAD' || ifMatch || headers['if-match'] === undefined) return;
  throw new DomainError(
    'REQUEST_INVALID',
    'If-Match: this address does not take it, and would do its work whatever has changed; leave it out',
    { field: 'If-Match' },
  );
}
