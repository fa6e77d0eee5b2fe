import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { mergeMap, type Observable } from 'rxjs';
import { CONFIG, type Config } from '../../infra/config.js';
import { PageRenderer } from '../../infra/http/page-renderer.js';
import { withPageHeaders, withPrivateHeaders } from '../../infra/http/send-page.js';
import { MailFrame, Page, PageFrame, SeeOther } from './answer.js';
import { mailPolicy, pagePolicy, withLinksInNewTab } from '../mailbox/mail-view.js';
import { ownerOf } from '../access/owner-of-request.js';

/** Makes of an `Answer` what goes to the browser; whatever else a handler answers with passes untouched. */
@Injectable()
export class AnswerInterceptor implements NestInterceptor {
  constructor(
    private readonly pages: PageRenderer,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const [request, reply] = [http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>()];
    return next.handle().pipe(mergeMap(async (answer: unknown) => this.bodyOf(answer, request, reply)));
  }

  private async bodyOf(answer: unknown, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if (answer instanceof Page) {
      const view = { ...this.frame(request), ...answer.view };
      const html = await this.pages.render(`admin/${answer.template}`, view);
      withPageHeaders(reply.status(answer.status));
      return html;
    }
    if (answer instanceof SeeOther) {
      reply.status(303).header('cache-control', 'no-store').header('location', answer.path);
      return undefined;
    }
    if (answer instanceof MailFrame) {
      withPrivateHeaders(reply)
        .header('content-type', 'text/html; charset=utf-8')
        .header('content-security-policy', mailPolicy(this.config.baseUrl));
      return withLinksInNewTab(answer.html);
    }
    if (answer instanceof PageFrame) {
      withPrivateHeaders(reply)
        .header('content-type', 'text/html; charset=utf-8')
        .header('content-security-policy', pagePolicy(this.config.baseUrl));
      return answer.html;
    }
    return answer;
  }

  /** What every page of the owner prints around its content. */
  private frame(request: FastifyRequest): Record<string, unknown> {
    const owner = ownerOf(request);
    const { mailboxOn } = this.config;
    return owner
      ? { mailboxOn, owner: { email: owner.email }, signOutAction: '/admin/logout' }
      : { mailboxOn };
  }
}
