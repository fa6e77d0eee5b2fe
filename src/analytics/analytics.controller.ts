import { Controller, Get, Param, Query } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { toPage } from '../infra/http/page.js';
import {
  funnelHeadlinesResponse,
  funnelKeyParam,
  funnelReportResponse,
  headlineJson,
  headlinesQuery,
  periodJson,
  periodOf,
  periodQuery,
  reportJson,
  type PeriodQuery,
} from './analytics.schemas.js';
import { AnalyticsService } from './analytics.service.js';

@Controller('api/v1/analytics/funnels')
export class AnalyticsController {
  constructor(private readonly analytics: AnalyticsService) {}

  @Get()
  @ApiRoute({
    summary: 'Headline numbers of all funnels',
    tag: 'analytics',
    response: funnelHeadlinesResponse,
  })
  async list(
    @Query({ schema: headlinesQuery }) { cursor, limit, ...query }: z.output<typeof headlinesQuery>,
  ): Promise<unknown> {
    const period = periodOf(query);
    const funnels = await this.analytics.page({ beforeId: cursor, limit: limit + 1 }, period);
    return { ...toPage(funnels, limit, headlineJson), period: periodJson(period) };
  }

  @Get(':key')
  @ApiRoute({
    summary: 'One funnel, from visitors to revenue, step by step',
    tag: 'analytics',
    response: funnelReportResponse,
    errors: ['FUNNEL_NOT_FOUND'],
  })
  async get(
    @Param('key', { schema: funnelKeyParam }) key: string,
    @Query({ schema: periodQuery }) query: PeriodQuery,
  ): Promise<unknown> {
    const period = periodOf(query);
    return reportJson(await this.analytics.funnel(key, period), period);
  }
}
