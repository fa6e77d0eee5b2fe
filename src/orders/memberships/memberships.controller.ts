import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ExportsService } from '../../imports/exports.service.js';
import { callerOf, ENVIRONMENT_KEY_ID } from '../../infra/access/caller.js';
import { ApiRoute } from '../../infra/http/api-route.js';
import { idSchema, toPage } from '../../infra/http/page.js';
import { sendCsv } from '../../infra/http/send-csv.js';
import {
  endBody,
  grantBody,
  historyJson,
  membershipCsvQuery,
  membershipJson,
  membershipList,
  membershipQuery,
  membershipResponse,
  membershipWithHistory,
} from './memberships.schemas.js';
import { MembershipsService } from './memberships.service.js';

const TAG = 'memberships';

@Controller('api/v1/memberships')
export class MembershipsController {
  constructor(
    private readonly memberships: MembershipsService,
    private readonly exports: ExportsService,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List memberships', tag: TAG, response: membershipList })
  async list(@Query({ schema: membershipQuery }) query: z.output<typeof membershipQuery>): Promise<unknown> {
    const { cursor, limit, ...filter } = query;
    const rows = await this.memberships.list(filter, { beforeId: cursor, limit: limit + 1 });
    return toPage(rows, limit, membershipJson);
  }

  @Get('export.csv')
  @ApiRoute({
    summary: 'Members as a table',
    description: 'Spreadsheets cannot execute it. The owner is told who exported it.',
    tag: TAG,
    response: z.string(),
    produces: 'text/csv',
  })
  async csv(
    @Query({ schema: membershipCsvQuery }) filter: z.output<typeof membershipCsvQuery>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.exports.tell({ apiKeyId: callerOf(request) ?? ENVIRONMENT_KEY_ID }, 'members');
    await sendCsv(reply, 'members.csv', this.memberships.csv(filter));
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One membership with its history',
    tag: TAG,
    response: membershipWithHistory,
    errors: ['MEMBERSHIP_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return historyJson(await this.memberships.get(id), await this.memberships.history(id));
  }

  @Post()
  @ApiRoute({
    summary: 'Grant a membership by hand',
    description: 'Begins it, or adds to one that runs; the person may be a member by each product once.',
    tag: TAG,
    response: membershipResponse,
    example: {
      subscriberId: '42',
      productKey: 'launch-kit',
      lasts: '12 months',
      reason: 'Won in the spring draw',
    },
    errors: ['SUBSCRIBER_NOT_FOUND', 'PRODUCT_NOT_FOUND'],
  })
  async grant(@Body({ schema: grantBody }) body: z.output<typeof grantBody>): Promise<unknown> {
    const { lasts: term, ...rest } = body;
    return membershipJson(await this.memberships.grant({ ...rest, term }));
  }

  @Post(':id/end')
  @ApiRoute({
    summary: 'End a membership by hand',
    description: 'At once. One that is over stays as it ended.',
    tag: TAG,
    response: membershipResponse,
    status: 200,
    example: { reason: 'Asked for it' },
    errors: ['MEMBERSHIP_NOT_FOUND'],
  })
  async end(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: endBody }) { reason }: z.output<typeof endBody>,
  ): Promise<unknown> {
    return membershipJson(await this.memberships.end(id, reason));
  }
}
