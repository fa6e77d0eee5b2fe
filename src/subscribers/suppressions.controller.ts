import { Body, Controller, Delete, Get, Param, Post, Query } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, type Page, pageOf, toPage } from '../infra/http/page.js';
import {
  createSuppressionSchema,
  subscriberQuery,
  suppressionJson,
  suppressionSchema,
} from './subscribers.schemas.js';
import { SuppressionsService } from './suppressions.service.js';

type SuppressionJson = z.output<typeof suppressionSchema>;

@Controller('api/v1/suppressions')
export class SuppressionsController {
  constructor(
    private readonly suppressions: SuppressionsService,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List suppressions', tag: 'suppressions', response: pageOf(suppressionSchema) })
  async list(
    @Query({ schema: subscriberQuery }) { email, cursor, limit }: z.output<typeof subscriberQuery>,
  ): Promise<Page<SuppressionJson>> {
    if (email === undefined)
      return toPage(await this.suppressions.page(cursor, limit + 1), limit, suppressionJson);
    return { data: (await this.suppressions.of(email.key)).map(suppressionJson), nextCursor: null };
  }

  @Post()
  @ApiRoute({
    summary: 'Suppress an address',
    description: 'An address that is suppressed already keeps its entry, which is answered.',
    tag: 'suppressions',
    response: suppressionSchema,
    example: { email: 'reader@example.com', scope: 'marketing' },
  })
  async create(
    @Body({ schema: createSuppressionSchema }) { email, scope }: z.output<typeof createSuppressionSchema>,
  ): Promise<SuppressionJson> {
    const entry = { emailKey: email.key, scope, reason: 'manual', source: 'api' } as const;
    const id = await this.suppressions.add(this.dataSource.manager, entry);
    return suppressionJson(await this.suppressions.get(id));
  }

  @Delete(':id')
  @ApiRoute({
    summary: 'Remove a suppression made by hand',
    tag: 'suppressions',
    response: null,
    errors: ['SUPPRESSION_NOT_FOUND', 'SUPPRESSION_REMOVE_CONFLICT'],
  })
  async remove(@Param('id', { schema: idSchema }) id: string): Promise<void> {
    await this.suppressions.removeManual(id);
  }
}
