import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiRoute } from '../infra/http/api-route.js';
import { pageQuery, toPage, type PageQuery } from '../infra/http/page.js';
import { notFound } from '../values/not-found.js';
import { offerJson, offerList, offerResponse, slugParam } from './offers.schemas.js';
import { OffersService } from './offers.service.js';

/** Read only: offers are written by the funnel they belong to. */
@Controller('api/v1/offers')
export class OffersController {
  constructor(private readonly offers: OffersService) {}

  @Get()
  @ApiRoute({ summary: 'List offers', tag: 'offers', response: offerList })
  async list(@Query({ schema: pageQuery }) query: PageQuery): Promise<unknown> {
    const rows = await this.offers.list({ beforeId: query.cursor, limit: query.limit + 1 });
    return toPage(rows, query.limit, offerJson);
  }

  @Get(':slug')
  @ApiRoute({ summary: 'One offer', tag: 'offers', response: offerResponse, errors: ['OFFER_NOT_FOUND'] })
  async get(@Param('slug', { schema: slugParam }) slug: string): Promise<unknown> {
    const offer = await this.offers.findBySlug(slug);
    if (offer) return offerJson(offer);
    throw notFound('offer', slug, 'slug');
  }
}
