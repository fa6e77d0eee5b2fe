import { Controller, Get, Query } from '@nestjs/common';
import { ApiRoute } from '../infra/http/api-route.js';
import { type Page, pageOf, pageQuery, type PageQuery, toPage } from '../infra/http/page.js';
import type { z } from 'zod';
import { tagSchema } from './subscribers.schemas.js';
import { SubscribersService } from './subscribers.service.js';

/** A tag is made by putting it on somebody; it is renamed where segments can follow. */
@Controller('api/v1/tags')
export class TagsController {
  constructor(private readonly subscribers: SubscribersService) {}

  @Get()
  @ApiRoute({ summary: 'List tags', tag: 'tags', response: pageOf(tagSchema) })
  async list(
    @Query({ schema: pageQuery }) { cursor, limit }: PageQuery,
  ): Promise<Page<z.output<typeof tagSchema>>> {
    const rows = await this.subscribers.tags(cursor, limit + 1);
    return toPage(rows, limit, (tag) => ({ ...tag, createdAt: tag.createdAt.toISOString() }));
  }
}
