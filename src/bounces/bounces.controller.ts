import { Controller, Get, Param, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, pageOf, pageQuery, toPage } from '../infra/http/page.js';
import { notFound } from '../values/not-found.js';
import { BouncesService } from './bounces.service.js';

const VERDICTS = ['hard', 'soft', 'sender', 'complaint', 'ignore'] as const;

const bounceResponse = z.object({
  id: z.string(),
  messageId: z.string().nullable(),
  subscriberId: z.string().nullable(),
  broadcastId: z.string().nullable(),
  verdict: z.enum(VERDICTS),
  reason: z.string(),
  statusCode: z.string().nullable(),
  replyCode: z.number().nullable(),
  diagnostic: z.string().nullable().meta({ description: 'What the other server said, without addresses.' }),
  reportingMta: z.string().nullable(),
  source: z.string(),
  trusted: z.boolean().meta({
    description:
      'False: nothing proves that a mail server wrote it. It does no more than the unsubscribe link, and about the sender it counts only with those of many other readers.',
  }),
  receivedAt: z.iso.datetime(),
});

const bounceQuery = pageQuery.extend({
  verdict: z.enum(VERDICTS).optional(),
  trusted: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .meta({ description: 'Only what a mail server is known to have written, or only the rest.' }),
  messageId: idSchema.optional(),
  subscriberId: idSchema.optional(),
  broadcastId: idSchema.optional(),
});

@Controller('api/v1/bounces')
export class BouncesController {
  constructor(private readonly bounces: BouncesService) {}

  @Get()
  @ApiRoute({
    summary: 'List bounces and complaints, newest first',
    tag: 'bounces',
    response: pageOf(bounceResponse),
  })
  async list(
    @Query({ schema: bounceQuery }) { cursor, limit, ...filter }: z.output<typeof bounceQuery>,
  ): Promise<unknown> {
    const rows = await this.bounces.list({ ...filter, beforeId: cursor, limit: limit + 1 });
    return toPage(rows, limit, (row) => row);
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One bounce or complaint',
    tag: 'bounces',
    response: bounceResponse,
    errors: ['BOUNCE_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const [bounce] = await this.bounces.list({ id, limit: 1 });
    if (!bounce) throw notFound('bounce', id);
    return bounce;
  }
}
