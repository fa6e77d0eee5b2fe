import { Controller, Get, Param, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ExplainService, type Answer } from '../analytics/explain.service.js';
import { idSchema } from '../infra/http/page.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPage } from '../infra/http/send-page.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { DomainError } from '../values/domain-error.js';
import { OwnerAccess } from './owner-access.service.js';

const question = z.union([
  z.object({ message: idSchema }),
  z.object({ broadcast: idSchema }),
  z.object({ funnel: z.string().max(200), step: z.string().max(200) }),
]);

type Question = z.output<typeof question>;

/** Why was this (not) sent, for the owner: the same chain of rules as the API answers. */
@Controller('admin/subscribers/:id/why')
export class WhyController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly explain: ExplainService,
    private readonly subscribers: SubscribersService,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async why(
    @Param('id') id: string,
    @Query() query: Record<string, unknown>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const asked = question.safeParse(query);
    if (!idSchema.safeParse(id).success || !asked.success)
      throw new DomainError('PAGE_NOT_FOUND', 'There is no such page');
    const subscriber = await this.subscribers.get(id);
    const answer = await this.answer(id, asked.data);
    const view = { subscriber: { id, email: subscriber.email }, what: whatOf(asked.data), answer };
    sendPage(reply, 200, await this.pages.render('admin/why', { ...this.access.frame(owner), ...view }));
  }

  private async answer(id: string, asked: Question): Promise<Answer> {
    if ('message' in asked) return this.explain.message(asked.message);
    if ('broadcast' in asked) return this.explain.broadcast(id, asked.broadcast);
    return this.explain.step(id, asked.funnel, asked.step);
  }
}

function whatOf(asked: Question): string {
  if ('message' in asked) return `mail ${asked.message}`;
  return 'broadcast' in asked ? `broadcast ${asked.broadcast}` : `step “${asked.step}” of ${asked.funnel}`;
}
