import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  Logger,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { lastValueFrom, type Observable, of } from 'rxjs';
import { DomainError } from '../../values/domain-error.js';
import { callerOf } from '../access/caller.js';
import { apiRouteOf } from './api-route.js';
import { type KeptAnswer, type KeyClaim, IdempotencyKeys } from './idempotency-keys.js';
import { instanceOf, PROBLEM_MEDIA_TYPE, problemAnswerOf, problemBytes } from './problem.js';

const WRITES = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
const KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * `Idempotency-Key` on the writes of the REST interface: the same key with the same request gets the first answer again
 * instead of doing the work twice. A failure of ours (5xx) and a 429 free the key, since nothing was decided; every other
 * refusal is an answer and is replayed.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  readonly #log = new Logger('Idempotency');

  constructor(private readonly keys: IdempotencyKeys) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const apiKeyId = callerOf(request);
    const key = request.headers['idempotency-key'];
    if (apiKeyId === undefined || key === undefined || !WRITES.has(request.method)) return next.handle();
    if (apiRouteOf(context.getHandler())?.idempotent === false) return next.handle();
    const outcome = await this.keys.claim(apiKeyId, checkedKey(key), fingerprint(request));
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    if (outcome.kind === 'claimed') return of(await this.runOnce(outcome.claim, reply, next));
    if (outcome.kind === 'answered') return of(replay(outcome.answer, reply, request));
    if (outcome.kind === 'forgotten') throw answerGone();
    throw outcome.kind === 'reused' ? keyReused() : stillRunning();
  }

  private async runOnce(claim: KeyClaim, reply: FastifyReply, next: CallHandler): Promise<unknown> {
    let body: unknown;
    try {
      body = await lastValueFrom(next.handle(), { defaultValue: undefined });
    } catch (error) {
      const { problem } = problemAnswerOf(error);
      const decided = problem.status < 500 && problem.status !== 429;
      await this.close(claim, decided ? { status: problem.status, body: problem } : null);
      throw error;
    }
    const replayable = reply.statusCode < 500 && !(body instanceof StreamableFile);
    await this.close(claim, replayable ? { status: reply.statusCode, body: body ?? undefined } : null);
    return body;
  }

  /** The work is done either way: when the answer cannot be kept, the caller still gets it. */
  private async close(claim: KeyClaim, answer: KeptAnswer | null): Promise<void> {
    try {
      await (answer ? this.keys.settle(claim, answer) : this.keys.free(claim));
    } catch (error) {
      this.#log.error(`The answer to a request with an Idempotency-Key was not kept: ${String(error)}`);
    }
  }
}

/** A problem is that of this request, and has its name. */
function replay({ status, body }: KeptAnswer, reply: FastifyReply, request: FastifyRequest): unknown {
  reply.status(status).header('idempotency-replayed', 'true');
  if (status < 400) return body;
  reply.header('content-type', PROBLEM_MEDIA_TYPE);
  return problemBytes(Object.assign({}, body, { instance: instanceOf(request) }));
}

function checkedKey(key: string | string[]): string {
  if (typeof key === 'string' && KEY.test(key)) return key;
  const allowed = 'one header of 1 to 255 printable ASCII characters, such as a UUID';
  throw new DomainError('IDEMPOTENCY_KEY_INVALID', `Idempotency-Key must be ${allowed}`, {
    field: 'Idempotency-Key',
    allowed,
  });
}

function answerGone(): DomainError {
  return new DomainError(
    'IDEMPOTENCY_ANSWER_GONE',
    'The first request with this Idempotency-Key was answered; the answer told of somebody who was erased since, and is not kept',
  );
}

function stillRunning(): DomainError {
  return new DomainError(
    'IDEMPOTENCY_IN_PROGRESS',
    'The first request with this Idempotency-Key is still being worked on; ask again in a moment',
    { retryAfterSeconds: 1 },
  );
}

function keyReused(): DomainError {
  return new DomainError(
    'IDEMPOTENCY_KEY_REUSED',
    'This Idempotency-Key was used for another request; take a new key for each request',
    { field: 'Idempotency-Key' },
  );
}

/** What makes two requests the same: method, address with query, the body as it was read, and what it is a change of. */
function fingerprint({ method, url, body, headers }: FastifyRequest): string {
  const ifMatch = headers['if-match'];
  return `${method} ${url}\n${bodyText(body)}${ifMatch === undefined ? '' : `\n${ifMatch}`}`;
}

/** It comes before the checks of the body, which may be of objects in each other without end. */
function bodyText(body: unknown): string {
  try {
    return JSON.stringify(body ?? null);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DomainError('REQUEST_INVALID', 'body: its objects stand in each other too deep', {
      field: 'body',
    });
  }
}
