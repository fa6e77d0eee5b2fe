import { Controller, Get, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { pageOf, pageQuery, toPage } from '../infra/http/page.js';
import { FormsService } from './forms.service.js';

const form = z.object({
  id: z.string(),
  slug: z.string(),
  funnelKey: z.string(),
  template: z.string(),
  optIn: z.enum(['double', 'single']),
  consentText: z.string(),
  headline: z.string(),
});

@Controller('api/v1/forms')
export class FormsController {
  constructor(private readonly forms: FormsService) {}

  @Get()
  @ApiRoute({ summary: 'List forms', tag: 'forms', response: pageOf(form) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: z.output<typeof pageQuery>): Promise<unknown> {
    const rows = await this.forms.list({ beforeId: cursor, limit: limit + 1 });
    return toPage(rows, limit, ({ id, slug, funnelKey, template, optIn, consentText, content }) => ({
      id,
      slug,
      funnelKey,
      template,
      optIn,
      consentText,
      headline: content.headline,
    }));
  }
}
