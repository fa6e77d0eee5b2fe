import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PayoutsService } from '../affiliates/payouts.service.js';
import { cursorOf, toPage } from '../infra/http/page.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendCsv } from '../infra/http/send-csv.js';
import { seeOther, sendPage } from '../infra/http/send-page.js';
import { DomainError } from '../values/domain-error.js';
import { moneyOf, parseMoney } from '../values/money.js';
import { runTypedFrom } from './affiliate-form.js';
import { OwnerAccess } from './owner-access.service.js';
import type { Owner } from './owner.service.js';
import { checkedId } from './page-id.schemas.js';

const PAGE_ROWS = 50;

/** Money to affiliates: what is due, a run of payouts, and which of them the owner has paid. */
@Controller('admin/payouts')
export class PayoutPagesController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly payouts: PayoutsService,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async show(
    @Query('cursor') cursor: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    await this.page(reply, owner, { cursor, minimum: '', error: null });
  }

  @Get('payouts.csv')
  async csv(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    if ((await this.access.require(request, reply)) === null) return;
    await sendCsv(reply, 'payouts.csv', this.payouts.csv(undefined));
  }

  @Post()
  async run(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.requireForPost(request, reply);
    if (owner === null) return;
    const { minimum } = runTypedFrom(body);
    try {
      await this.payouts.run(parseMoney(minimum));
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'MONEY_INVALID') throw error;
      return this.page(reply, owner, { cursor: undefined, minimum, error: error.message });
    }
    await seeOther(reply, '/admin/payouts');
  }

  @Post(':id/paid')
  async paid(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if ((await this.access.requireForPost(request, reply)) === null) return;
    await this.payouts.markPaid(checkedId(id, 'payout'));
    await seeOther(reply, '/admin/payouts');
  }

  @Post(':id/cancel')
  async cancel(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if ((await this.access.requireForPost(request, reply)) === null) return;
    await this.payouts.cancel(checkedId(id, 'payout'));
    await seeOther(reply, '/admin/payouts');
  }

  private async page(
    reply: FastifyReply,
    owner: Owner,
    { cursor, minimum, error }: { cursor: unknown; minimum: string; error: string | null },
  ): Promise<void> {
    const due = (await this.payouts.due(null)).map(({ amountMinor, currency, ...row }) => ({
      ...row,
      amount: moneyOf(amountMinor, currency),
      isPayable: amountMinor > 0 && !row.isErased,
    }));
    const rows = await this.payouts.list({ beforeId: cursorOf(cursor), limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => row);
    const currency = due[0]?.amount.currency ?? 'EUR';
    const view = { due, payouts: data, nextCursor, error, minimum: minimum || `30 ${currency}` };
    const html = await this.pages.render('admin/payouts', { ...this.access.frame(owner), ...view });
    sendPage(reply, error === null ? 200 : 422, html);
  }
}
