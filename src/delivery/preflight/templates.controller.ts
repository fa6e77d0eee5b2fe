import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { idSchema, pageQuery, toPage } from '../../infra/http/page.js';
import { notFound } from '../../values/not-found.js';
import { TemplatesService } from '../mails/templates.service.js';
import { PreflightService } from './preflight.service.js';
import { preflightRequest, preflightResponse, templatePage, templateResponse } from './templates.schemas.js';

@Controller('api/v1/templates')
export class TemplatesController {
  constructor(
    private readonly templates: TemplatesService,
    private readonly preflight: PreflightService,
  ) {}

  @Get()
  @ApiRoute({
    summary: 'List mail templates, the latest version of each',
    tag: 'templates',
    response: templatePage,
  })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: z.output<typeof pageQuery>): Promise<unknown> {
    return toPage(await this.templates.list({ beforeId: cursor, limit: limit + 1 }), limit, (row) => row);
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One version of a mail template',
    tag: 'templates',
    response: templateResponse,
    errors: ['TEMPLATE_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const template = await this.templates.byId(id);
    if (!template) throw notFound('template', id);
    return template;
  }

  @Post('preflight')
  @ApiRoute({
    summary: 'Check a mail before it is sent',
    description:
      'Variables over all active subscribers, dead links, size, text part, sender, mail programs and the DNS of the sender. By itself: an example stands in for what a funnel fills in, such as a download; POST /funnels/{key}/preflight has what it really does.',
    tag: 'templates',
    response: preflightResponse,
    status: 200,
    idempotent: false,
    example: { template: 'emails/welcome', funnel: 'niche-ebook' },
    errors: ['TEMPLATE_NOT_FOUND', 'TEMPLATE_INVALID', 'FUNNEL_NOT_FOUND'],
  })
  async check(@Body({ schema: preflightRequest }) body: z.output<typeof preflightRequest>): Promise<unknown> {
    return this.preflight.checkTemplate(body);
  }
}
