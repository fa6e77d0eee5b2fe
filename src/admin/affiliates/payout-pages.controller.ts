import { Body, Controller, Get, Param, Post, Query, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { PayoutsService } from '../../affiliates/payouts.service.js';
import { ExportsService } from '../../imports/exports.service.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { sendCsv } from '../../infra/http/send-csv.js';
import { DomainError } from '../../values/domain-error.js';
import { moneyOf, parseMoney } from '../../values/money.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { minimumTypedFrom } from './affiliate-form.js';
import { JustSignedInGuard } from '../access/just-signed-in.guard.js';
import { checkedId } from '../forms/page-id.schemas.js';

const PAGE_ROWS = 50;

/** Money to affiliates: what is due, a run of payouts, and which of them the owner has paid. */
@Controller('admin/payouts')
export class PayoutPagesController {
  constructor(
    private readonly payouts: PayoutsService,
    private readonly exports: ExportsService,
  ) {}

  @Get()
  async show(@Query('cursor') cursor: unknown): Promise<Answer> {
    return this.page({ cursor, minimum: '', error: null });
  }

  @Get('payouts.csv')
  @UseGuards(JustSignedInGuard)
  async csv(@Res() reply: FastifyReply): Promise<void> {
    await this.exports.tell('owner', 'payouts', 'Affiliates');
    await sendCsv(reply, 'payouts.csv', this.payouts.csv(undefined));
  }

  @Post()
  async run(@Body() body: unknown): Promise<Answer> {
    const minimum = minimumTypedFrom(body);
    try {
      await this.payouts.run(parseMoney(minimum));
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'MONEY_INVALID') throw error;
      return this.page({ cursor: undefined, minimum, error: error.message });
    }
    return new SeeOther('/admin/payouts');
  }

  @Post(':id/paid')
  async paid(@Param('id') id: string): Promise<Answer> {
    await this.payouts.markPaid(checkedId(id, 'payout'));
    return new SeeOther('/admin/payouts');
  }

  @Post(':id/cancel')
  async cancel(@Param('id') id: string): Promise<Answer> {
    await this.payouts.cancel(checkedId(id, 'payout'));
    return new SeeOther('/admin/payouts');
  }

  private async page({
    cursor,
    minimum,
    error,
  }: {
    cursor: unknown;
    minimum: string;
    error: string | null;
  }): Promise<Answer> {
    const due = (await this.payouts.due(null)).map(({ amountMinor, currency, ...row }) => ({
      ...row,
      amount: moneyOf(amountMinor, currency),
      isPayable: amountMinor > 0 && !row.isErased,
    }));
    const rows = await this.payouts.list({ beforeId: cursorOf(cursor), limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => row);
    const currency = due[0]?.amount.currency ?? 'EUR';
    const view = { due, payouts: data, nextCursor, error, minimum: minimum || `30 ${currency}` };
    return new Page('payouts', view, error === null ? 200 : 422);
  }
}
