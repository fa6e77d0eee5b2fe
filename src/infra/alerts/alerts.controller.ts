import { Controller, Get, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../http/api-route.js';
import { pageOf, pageQuery, toPage } from '../http/page.js';
import { AlertsService } from './alerts.service.js';

const alertSchema = z.object({
  id: z.string(),
  key: z.string(),
  severity: z.enum(['info', 'warning', 'critical']),
  message: z.string(),
  facts: z.record(z.string(), z.unknown()),
  raisedAt: z.iso.datetime(),
  lastSeenAt: z.iso.datetime(),
  resolvedAt: z.iso.datetime().nullable(),
});

@Controller('api/v1/alerts')
export class AlertsController {
  constructor(private readonly alerts: AlertsService) {}

  @Get()
  @ApiRoute({
    summary: 'List what needs the owner, newest first',
    tag: 'alerts',
    response: pageOf(alertSchema),
  })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: z.output<typeof pageQuery>): Promise<unknown> {
    return toPage(await this.alerts.list({ beforeId: cursor, limit: limit + 1 }), limit, (row) => row);
  }
}
