import { Body, Controller, Delete, Get, Inject, Param, Patch, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import { CONFIG, type Config } from '../infra/config.js';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, type Page, pageQuery, type PageQuery, toPage } from '../infra/http/page.js';
import type { Affiliate } from './affiliate.js';
import {
  affiliateJson,
  type AffiliateJson,
  affiliateList,
  affiliateResponse,
  createAffiliate,
  updateAffiliate,
} from './affiliates.schemas.js';
import { AffiliatesService } from './affiliates.service.js';

@Controller('api/v1/affiliates')
export class AffiliatesController {
  constructor(
    private readonly affiliates: AffiliatesService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List affiliates', tag: 'affiliates', response: affiliateList })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: PageQuery): Promise<Page<AffiliateJson>> {
    const rows = await this.affiliates.list({ beforeId: cursor, limit: limit + 1 });
    const figures = await this.affiliates.figures(rows.map(({ id }) => id));
    return toPage(rows, limit, (row) => affiliateJson(row, figures.get(row.id), this.config.baseUrl));
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One affiliate, with what they have brought',
    tag: 'affiliates',
    response: affiliateResponse,
    errors: ['AFFILIATE_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<AffiliateJson> {
    return this.json(await this.affiliates.get(id));
  }

  @Post()
  @ApiRoute({
    summary: 'Make an affiliate',
    tag: 'affiliates',
    response: affiliateResponse,
    example: { code: 'grace', name: 'Grace', email: 'grace@example.com' },
    errors: ['AFFILIATE_CODE_CONFLICT', 'AFFILIATE_EMAIL_CONFLICT', 'AFFILIATE_RECRUITER_INVALID'],
  })
  async create(
    @Body({ schema: createAffiliate }) body: z.output<typeof createAffiliate>,
  ): Promise<AffiliateJson> {
    return this.json(await this.affiliates.create(body));
  }

  @Patch(':id')
  @ApiRoute({
    summary: 'Change an affiliate',
    description: 'Paused, their link still leads to the page and earns nothing.',
    tag: 'affiliates',
    response: affiliateResponse,
    example: { state: 'paused' },
    errors: [
      'AFFILIATE_NOT_FOUND',
      'AFFILIATE_EMAIL_CONFLICT',
      'AFFILIATE_RECRUITER_INVALID',
      'AFFILIATE_ERASED',
    ],
  })
  async update(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: updateAffiliate }) body: z.output<typeof updateAffiliate>,
  ): Promise<AffiliateJson> {
    return this.json(await this.affiliates.update(id, body));
  }

  @Delete(':id')
  @ApiRoute({
    summary: 'Erase an affiliate',
    description: 'Name and address go for good. What they earned and were paid stays, under their code.',
    tag: 'affiliates',
    response: null,
    errors: ['AFFILIATE_NOT_FOUND'],
  })
  async erase(@Param('id', { schema: idSchema }) id: string): Promise<void> {
    await this.affiliates.erase(id);
  }

  private async json(affiliate: Affiliate): Promise<AffiliateJson> {
    const figures = await this.affiliates.figures([affiliate.id]);
    return affiliateJson(affiliate, figures.get(affiliate.id), this.config.baseUrl);
  }
}
