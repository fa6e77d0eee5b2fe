import { Body, Controller, Get, Header, Param, Put, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { pageQuery, toPage, type PageQuery } from '../infra/http/page.js';
import { DomainError } from '../values/domain-error.js';
import { FunnelsService } from './funnels.service.js';
import { applyBody, funnelKey, funnelList, funnelResponse, planResponse } from './funnels.schemas.js';

@Controller('api/v1/funnels')
export class FunnelsController {
  constructor(private readonly funnels: FunnelsService) {}

  @Get()
  @ApiRoute({ summary: 'List funnels', tag: 'funnels', response: funnelList })
  async list(@Query({ schema: pageQuery }) query: PageQuery): Promise<unknown> {
    const rows = await this.funnels.page({ beforeId: query.cursor, limit: query.limit + 1 });
    return toPage(rows, query.limit, ({ key, title, version, updatedAt, definition }) => ({
      key,
      title,
      version,
      updatedAt,
      definition,
    }));
  }

  @Get(':key')
  @ApiRoute({ summary: 'One funnel with its definition', tag: 'funnels', response: funnelResponse })
  async get(@Param('key', { schema: funnelKey }) key: string): Promise<unknown> {
    return this.funnels.get(key);
  }

  @Get(':key/export')
  @Header('Content-Type', 'application/yaml; charset=utf-8')
  @ApiRoute({ summary: 'Export a funnel as YAML', tag: 'funnels', response: z.string(), status: 200 })
  async export(@Param('key', { schema: funnelKey }) key: string): Promise<string> {
    return this.funnels.export(key);
  }

  /** Files that the YAML names must have been stored by an earlier `apply` from disk: a request carries no files. */
  @Put(':key')
  @ApiRoute({ summary: 'Plan or apply a funnel', tag: 'funnels', response: planResponse, status: 200 })
  async apply(
    @Param('key', { schema: funnelKey }) key: string,
    @Body({ schema: applyBody }) body: z.infer<typeof applyBody>,
  ): Promise<unknown> {
    const plan = await this.funnels.plan(body.yaml, null, 'yaml');
    if (plan.funnel !== key) {
      throw new DomainError(
        'FUNNEL_KEY_INVALID',
        `yaml: funnel is "${plan.funnel}", the address says "${key}"`,
        { key },
      );
    }
    if (body.dryRun) return { ...plan, applied: false };
    return { ...(await this.funnels.apply(body.yaml, null, 'yaml')), applied: true };
  }
}
