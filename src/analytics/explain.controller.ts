import { Controller, Get, Param, Query } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema } from '../infra/http/page.js';
import { explainQuery, explanationJson, explanationResponse } from './explain.schemas.js';
import { ExplainService } from './explain.service.js';

type ExplanationJson = z.output<typeof explanationResponse>;

/** Stands here and not with the other routes of messages, because the answer lies in every module's tables. */
@Controller('api/v1/messages')
export class ExplainController {
  constructor(private readonly explain: ExplainService) {}

  @Get('explain')
  @ApiRoute({
    summary: 'Why a step or broadcast was (not) sent to a subscriber',
    description: 'The rules in the order in which they were asked. Also when there is no mail at all.',
    tag: 'messages',
    response: explanationResponse,
    errors: ['SUBSCRIBER_NOT_FOUND', 'FUNNEL_NOT_FOUND', 'STEP_NOT_FOUND', 'BROADCAST_NOT_FOUND'],
  })
  async byStep(
    @Query({ schema: explainQuery }) query: z.output<typeof explainQuery>,
  ): Promise<ExplanationJson> {
    const { subscriberId, funnel = '', step = '', broadcastId } = query;
    return explanationJson(
      broadcastId === undefined
        ? await this.explain.step(subscriberId, funnel, step)
        : await this.explain.broadcast(subscriberId, broadcastId),
    );
  }

  @Get(':id/explain')
  @ApiRoute({
    summary: 'Why a message was (not) sent',
    description: 'The rules in the order in which they were asked, and the one that decided.',
    tag: 'messages',
    response: explanationResponse,
    errors: ['MESSAGE_NOT_FOUND'],
  })
  async byId(@Param('id', { schema: idSchema }) id: string): Promise<ExplanationJson> {
    return explanationJson(await this.explain.message(id));
  }
}
