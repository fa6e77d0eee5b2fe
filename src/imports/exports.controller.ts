import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { callerOf, ENVIRONMENT_KEY_ID } from '../infra/access/caller.js';
import { ApiRoute } from '../infra/http/api-route.js';
import { sendCsv } from '../infra/http/send-csv.js';
import { objectKey } from '../subscribers/subscribers.schemas.js';
import { ExportsService } from './exports.service.js';

const exportQuery = z.strictObject({
  segment: objectKey.optional().meta({ description: 'Key of a segment; everybody when left out.' }),
});

@Controller('api/v1/exports')
export class ExportsController {
  constructor(private readonly exports: ExportsService) {}

  @Get('subscribers')
  @ApiRoute({
    summary: 'Subscribers as a table',
    description:
      'Spreadsheets cannot execute it, and an import reads it back as the same people. The owner is told who exported it.',
    tag: 'exports',
    response: z.string(),
    produces: 'text/csv',
    errors: ['SEGMENT_NOT_FOUND'],
  })
  async subscribers(
    @Query({ schema: exportQuery }) { segment }: z.output<typeof exportQuery>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const by = { apiKeyId: callerOf(request) ?? ENVIRONMENT_KEY_ID };
    const pieces = await this.exports.subscribers(segment ?? null, by);
    await sendCsv(reply, `${segment ?? 'subscribers'}.csv`, pieces);
  }
}
