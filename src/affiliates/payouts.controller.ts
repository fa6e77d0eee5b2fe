import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ExportsService } from '../imports/exports.service.js';
import { callerOf, ENVIRONMENT_KEY_ID } from '../infra/access/caller.js';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, type Page, pageOf, pageQuery, pageQueryBy, toPage } from '../infra/http/page.js';
import { sendCsv } from '../infra/http/send-csv.js';
import { isCurrency, moneyOf } from '../values/money.js';
import { type Payout, PAYOUT_STATES } from './affiliate.js';
import type { DuePlace } from './payouts.queries.js';
import { PayoutsService } from './payouts.service.js';
import { money } from '../infra/http/money.schemas.js';

const currency = z
  .string()
  .refine(isCurrency, 'use an ISO 4217 code in capitals, such as EUR')
  .meta({ description: 'ISO 4217.' });
const state = z.enum(PAYOUT_STATES, { error: `use one of ${PAYOUT_STATES.join(', ')}` });

const payoutSchema = z
  .object({
    id: z.string(),
    affiliateId: z.string(),
    affiliateCode: z.string(),
    amount: money,
    state,
    createdAt: z.iso.datetime(),
    paidAt: z.iso.datetime().nullable(),
    cancelledAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Payout' });
const payoutWithClawbacks = payoutSchema.extend({
  clawbacks: z
    .array(z.object({ commissionId: z.string(), amount: money, createdAt: z.iso.datetime() }))
    .meta({
      description: 'What it takes off for refunds. Its commissions: /api/v1/commissions?payoutId=ID.',
    }),
});
const dueSchema = z.object({
  affiliateId: z.string(),
  affiliateCode: z.string(),
  isErased: z.boolean().meta({ description: 'Is in no payout run: nobody knows any more whom to pay.' }),
  amount: money.meta({
    description: 'Below zero: refunds of what was paid out, taken off what becomes due next.',
  }),
});
const made = z.object({ data: z.array(payoutSchema) });
/** An affiliate and a currency, as in `17 EUR`: what is due has no id. */
const duePlace = z
  .string()
  .regex(/^\d+ [A-Z]{3}$/)
  .refine((place) => idSchema.safeParse(duePlaceOf(place).affiliateId).success);
const dueQuery = pageQueryBy(duePlace).extend({ currency: currency.optional() });
const listQuery = pageQuery.extend({ state: state.optional(), affiliateId: idSchema.optional() });
const csvQuery = z.strictObject({ state: state.optional() });
const runBody = z.strictObject({
  minimum: z
    .strictObject({
      amountMinor: z
        .int('use a whole number of minor units from 1')
        .min(1)
        .max(2 ** 53 - 1),
      currency,
    })
    .meta({ description: 'Who is due less in this currency waits for the next run.' }),
});

type PayoutJson = z.output<typeof payoutSchema>;

@Controller('api/v1/payouts')
export class PayoutsController {
  constructor(
    private readonly payouts: PayoutsService,
    private readonly exports: ExportsService,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List payouts', tag: 'payouts', response: pageOf(payoutSchema) })
  async list(
    @Query({ schema: listQuery }) { cursor, limit, ...filter }: z.output<typeof listQuery>,
  ): Promise<Page<PayoutJson>> {
    return toPage(
      await this.payouts.list({ beforeId: cursor, limit: limit + 1, ...filter }),
      limit,
      payoutJson,
    );
  }

  @Get('due')
  @ApiRoute({ summary: 'What is due to affiliates now', tag: 'payouts', response: pageOf(dueSchema) })
  async due(
    @Query({ schema: dueQuery }) { cursor, limit, currency }: z.output<typeof dueQuery>,
  ): Promise<Page<z.output<typeof dueSchema>>> {
    const behind = cursor === undefined ? null : duePlaceOf(cursor);
    const rows = await this.payouts.pageOfDue(currency ?? null, { behind, limit: limit + 1 });
    return toPage(
      rows.map((row) => ({ id: `${row.affiliateId} ${row.currency}`, ...row })),
      limit,
      ({ affiliateId, affiliateCode, isErased, amountMinor, currency }) => ({
        ...{ affiliateId, affiliateCode, isErased },
        amount: moneyOf(amountMinor, currency),
      }),
    );
  }

  @Get('export.csv')
  @ApiRoute({
    summary: 'Payouts as a table',
    description: 'Spreadsheets cannot execute it. The owner is told who took it along.',
    tag: 'payouts',
    response: z.string(),
    produces: 'text/csv',
  })
  async csv(
    @Query({ schema: csvQuery }) query: z.output<typeof csvQuery>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const by = { apiKeyId: callerOf(request) ?? ENVIRONMENT_KEY_ID };
    await this.exports.tell(by, 'payouts', 'Affiliates');
    await sendCsv(reply, 'payouts.csv', this.payouts.csv(query.state));
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One payout',
    tag: 'payouts',
    response: payoutWithClawbacks,
    errors: ['PAYOUT_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<z.output<typeof payoutWithClawbacks>> {
    const payout = payoutJson(await this.payouts.get(id));
    const clawbacks = await this.payouts.clawbacks(id);
    return {
      ...payout,
      clawbacks: clawbacks.map(({ commissionId, amountMinor, currency, createdAt }) => ({
        commissionId,
        amount: moneyOf(amountMinor, currency),
        createdAt: createdAt.toISOString(),
      })),
    };
  }

  @Post()
  @ApiRoute({
    summary: 'Make a payout run',
    description:
      'One payout for each affiliate who is due the minimum or more, of everything that is due to them. A second run makes nothing.',
    tag: 'payouts',
    response: made,
    example: { minimum: { amountMinor: 2500, currency: 'EUR' } },
  })
  async run(
    @Body({ schema: runBody }) { minimum }: z.output<typeof runBody>,
  ): Promise<z.output<typeof made>> {
    return { data: (await this.payouts.run(minimum)).map(payoutJson) };
  }

  @Post(':id/paid')
  @ApiRoute({
    summary: 'Say that a payout was paid',
    tag: 'payouts',
    response: payoutSchema,
    status: 200,
    errors: ['PAYOUT_NOT_FOUND', 'PAYOUT_CANCELLED_CONFLICT'],
  })
  async paid(@Param('id', { schema: idSchema }) id: string): Promise<PayoutJson> {
    return payoutJson(await this.payouts.markPaid(id));
  }

  @Post(':id/cancel')
  @ApiRoute({
    summary: 'Cancel a payout that is not paid',
    description: 'What is in it is due again, and in the next run.',
    tag: 'payouts',
    response: payoutSchema,
    status: 200,
    errors: ['PAYOUT_NOT_FOUND', 'PAYOUT_PAID_CONFLICT'],
  })
  async cancel(@Param('id', { schema: idSchema }) id: string): Promise<PayoutJson> {
    return payoutJson(await this.payouts.cancel(id));
  }
}

function duePlaceOf(place: string): DuePlace {
  return { affiliateId: place.slice(0, -4), currency: place.slice(-3) };
}

function payoutJson({
  id,
  affiliateId,
  affiliateCode,
  amount,
  state,
  createdAt,
  paidAt,
  cancelledAt,
}: Payout): PayoutJson {
  return {
    ...{ id, affiliateId, affiliateCode, amount, state },
    createdAt: createdAt.toISOString(),
    paidAt: paidAt?.toISOString() ?? null,
    cancelledAt: cancelledAt?.toISOString() ?? null,
  };
}
