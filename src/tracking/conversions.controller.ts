import { Controller, Get, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { type Page, pageOf, pageQuery, toPage } from '../infra/http/page.js';
import type { ConversionRow } from './conversions.queries.js';
import { TrackingService } from './tracking.service.js';

const kind = z.enum(['signup', 'confirmation', 'order']);

const conversionSchema = z
  .object({
    id: z.string(),
    kind,
    funnel: z.string(),
    subscriberId: z.string().nullable(),
    messageId: z.string().nullable(),
    orderId: z.string().nullable(),
    amount: z.object({ amountMinor: z.number().int(), currency: z.string() }).nullable(),
    at: z.iso.datetime(),
  })
  .meta({ id: 'Conversion' });

const conversionQuery = pageQuery.extend({ kind: kind.optional(), funnel: z.string().max(100).optional() });

/** Read only: conversions follow from what people do. */
@Controller('api/v1/conversions')
export class ConversionsController {
  constructor(private readonly tracking: TrackingService) {}

  @Get()
  @ApiRoute({ summary: 'List conversions', tag: 'conversions', response: pageOf(conversionSchema) })
  async list(
    @Query({ schema: conversionQuery }) query: z.output<typeof conversionQuery>,
  ): Promise<Page<z.output<typeof conversionSchema>>> {
    const { cursor: beforeId, limit, kind: onlyKind, funnel } = query;
    const rows = await this.tracking.conversions({
      beforeId,
      limit: limit + 1,
      kind: onlyKind,
      funnelKey: funnel,
    });
    return toPage(rows, limit, conversionJson);
  }
}

function conversionJson(row: ConversionRow): z.output<typeof conversionSchema> {
  const {
    id,
    kind: conversionKind,
    funnelKey,
    subscriberId,
    messageId,
    orderId,
    amountMinor,
    currency,
    at,
  } = row;
  return {
    ...{ id, kind: conversionKind, funnel: funnelKey, subscriberId, messageId, orderId },
    amount: amountMinor === null || currency === null ? null : { amountMinor, currency },
    at: at.toISOString(),
  };
}
