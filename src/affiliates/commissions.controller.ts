import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { z } from 'zod';
import { CLOCK, type Clock } from '../infra/clock.js';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, type Page, pageOf, pageQuery, toPage } from '../infra/http/page.js';
import { moneyOf } from '../values/money.js';
import { COMMISSION_STATES, type CommissionRecord, commissionState } from './commission-record.js';
import { CommissionsService } from './commissions.service.js';
import { explainCommission } from './explain-commission.js';
import { money } from '../infra/http/money.schemas.js';

const fields = {
  id: z.string(),
  affiliateId: z.string(),
  affiliateCode: z.string(),
  orderId: z.string(),
  orderNumber: z.string(),
  productKey: z.string(),
  tier: z.union([z.literal(1), z.literal(2)]),
  state: z.enum(COMMISSION_STATES),
  refusal: z.string().nullable().meta({ description: 'Why it earned nothing.' }),
  base: money.meta({ description: 'What was paid for the product, after discounts.' }),
  rateBps: z.number().int().meta({ description: 'Of the base, in basis points.' }),
  amount: money,
  clawedBack: money.meta({ description: 'Taken back by refunds so far.' }),
  dueAt: z.iso.datetime(),
  payoutId: z.string().nullable(),
  createdAt: z.iso.datetime(),
};
const commissionSchema = z.object(fields).meta({ id: 'Commission' });
const explainedSchema = z
  .object({
    ...fields,
    explanation: z.array(z.string()).meta({ description: 'By which rules, a sentence each.' }),
    sale: z.array(commissionSchema).meta({ description: 'Everything the same order earned anybody.' }),
  })
  .meta({ id: 'ExplainedCommission' });
const query = pageQuery.extend({
  affiliateId: idSchema.optional(),
  orderId: idSchema.optional(),
  payoutId: idSchema.optional(),
});

type CommissionJson = z.output<typeof commissionSchema>;

@Controller('api/v1/commissions')
export class CommissionsController {
  constructor(
    private readonly commissions: CommissionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List commissions', tag: 'commissions', response: pageOf(commissionSchema) })
  async list(
    @Query({ schema: query }) { cursor, limit, ...filter }: z.output<typeof query>,
  ): Promise<Page<CommissionJson>> {
    const rows = await this.commissions.list({ beforeId: cursor, limit: limit + 1, ...filter });
    return toPage(rows, limit, (row) => commissionJson(row, this.clock.now()));
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One commission, explained',
    description: 'Who got what by the sale, and by which rules.',
    tag: 'commissions',
    response: explainedSchema,
    errors: ['COMMISSION_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<z.output<typeof explainedSchema>> {
    const commission = await this.commissions.get(id);
    const now = this.clock.now();
    const sale = await this.commissions.ofOrder(commission.orderId);
    return {
      ...commissionJson(commission, now),
      explanation: explainCommission(commission, now),
      sale: sale.map((row) => commissionJson(row, now)),
    };
  }
}

function commissionJson(row: CommissionRecord, now: Date): CommissionJson {
  const { id, affiliateId, affiliateCode, orderId, orderNumber, productKey, tier, refusal, rateBps } = row;
  return {
    ...{ id, affiliateId, affiliateCode, orderId, orderNumber, productKey, tier, refusal, rateBps },
    state: commissionState(row, now),
    base: moneyOf(row.baseMinor, row.currency),
    amount: moneyOf(row.amountMinor, row.currency),
    clawedBack: moneyOf(row.clawedBackMinor, row.currency),
    dueAt: row.dueAt.toISOString(),
    payoutId: row.payoutId,
    createdAt: row.createdAt.toISOString(),
  };
}
