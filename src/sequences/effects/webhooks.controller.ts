import { Controller, Get, Inject, Query } from '@nestjs/common';
import { z } from 'zod';
import { CONFIG, type Config } from '../../infra/config.js';
import { ApiRoute } from '../../infra/http/api-route.js';
import { pageOf, pageQuery, toPage } from '../../infra/http/page.js';
import { webhookKeyText } from './webhook.js';
import { WebhooksService } from './webhooks.service.js';

const delivery = z.object({
  id: z.string(),
  enrollmentId: z.string(),
  stepKey: z.string(),
  url: z.string(),
  state: z.enum(['waiting', 'delivered', 'failed']),
  attempt: z.number().int().meta({ description: 'How often it was tried.' }),
  dueAt: z.iso.datetime(),
  statusCode: z.number().int().nullable(),
  reason: z.string().nullable(),
  createdAt: z.iso.datetime(),
  settledAt: z.iso.datetime().nullable(),
});

@Controller('api/v1/webhooks')
export class WebhooksController {
  constructor(
    private readonly webhooks: WebhooksService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  @ApiRoute({
    summary: 'List deliveries of webhook steps, newest first',
    tag: 'webhooks',
    response: pageOf(delivery),
  })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: z.output<typeof pageQuery>): Promise<unknown> {
    return toPage(await this.webhooks.list({ beforeId: cursor, limit: limit + 1 }), limit, (row) => row);
  }

  @Get('signing-key')
  @ApiRoute({
    summary: 'The key that signatures of webhooks are checked with',
    description:
      'As the libraries of Standard Webhooks take it; docs/webhooks.md has what is posted, and how to check it without them. It hangs on SECRET_KEY and on the database, and changes with either.',
    tag: 'webhooks',
    response: z.object({ key: z.string() }),
  })
  signingKey(): { key: string } {
    return { key: webhookKeyText(this.config.secretKey) };
  }
}
