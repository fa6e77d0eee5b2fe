import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { apiRouteOf } from './api-route.js';
import { etagOf, isKnown } from './etag.js';

/** `ETag` on the answers of routes that say what of them is written, and 304 to whoever has the answer already. */
@Injectable()
export class EtagInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const written = apiRouteOf(context.getHandler())?.etag;
    if (written === undefined) return next.handle();
    const request = context.switchToHttp().getRequest<FastifyRequest>();
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
