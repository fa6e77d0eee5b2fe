import { Controller, Get, Param, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { pageOf, pageQuery, toPage } from '../infra/http/page.js';
import { notFound } from '../values/not-found.js';
import { FormsService, type Form } from './forms.service.js';

const form = z.object({
  id: z.string(),
  slug: z.string(),
  funnelKey: z.string(),
  template: z.string(),
  optIn: z.enum(['double', 'single']),
  consentText: z.string(),
  headline: z.string(),
});

export const slugParam = z.string().regex(/^[a-z0-9-]{1,60}$/, 'use the slug as the funnel file writes it');

@Controller('api/v1/forms')
export class FormsController {
  constructor(private readonly forms: FormsService) {}

  @Get()
  @ApiRoute({ summary: 'List forms', tag: 'forms', response: pageOf(form) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: z.output<typeof pageQuery>): Promise<unknown> {
    const rows = await this.forms.list({ beforeId: cursor, limit: limit + 1 });
    return toPage(rows, limit, formJson);
  }

  @Get(':slug')
  @ApiRoute({ summary: 'One form', tag: 'forms', response: form, errors: ['FORM_NOT_FOUND'] })
  async form(@Param('slug', { schema: slugParam }) slug: string): Promise<unknown> {
    const found = await this.forms.findBySlug(slug);
    if (found) return formJson(found);
    throw notFound('form', slug, 'slug');
  }
}

function formJson({
  id,
  slug,
  funnelKey,
  template,
  optIn,
  consentText,
  content,
}: Form): z.output<typeof form> {
  return { id, slug, funnelKey, template, optIn, consentText, headline: content.headline };
}
