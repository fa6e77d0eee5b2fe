import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { exportCell } from '../imports/export-cell.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { type Money, moneyToText } from '../values/money.js';
import type { Payout, PayoutState } from './affiliate.js';
import { forgetPaidOff } from './forget.queries.js';
import {
  cancelPayout,
  clawbacksIn,
  dueBalances,
  type DueRow,
  dueSums,
  findPayout,
  insertPayout,
  listPayouts,
  LOCK_PAYOUTS,
  pageOfDue,
  type PayoutPage,
} from './payouts.queries.js';

const CSV_BATCH = 500;
const COLUMNS = ['payout', 'affiliate', 'name', 'email', 'amount', 'currency', 'state', 'made', 'paid'];

/** Money to affiliates. It moves none itself: the owner pays by their bank and says so. The only writer of `payout`. */
@Injectable()
export class PayoutsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** What is due to each affiliate now, the highest first; below zero what they have to make up for. */
  async due(currency: string | null): Promise<DueRow[]> {
    return dueBalances(this.dataSource.manager, { currency, now: this.clock.now() });
  }

  async pageOfDue(currency: string | null, page: Parameters<typeof pageOfDue>[2]): Promise<DueRow[]> {
    return pageOfDue(this.dataSource.manager, { currency, now: this.clock.now() }, page);
  }

  /**
   * A payout run: one payout for each affiliate who is due `minimum` or more in its currency, with everything that is due
   * to them; nobody can pay those who were erased. What is in a payout is in no other, so a second run at once makes nothing.
   */
  async run(minimum: Money): Promise<Payout[]> {
    const { currency, amountMinor } = minimum;
    const ids = await this.dataSource.transaction(async (manager) => {
      await manager.query(LOCK_PAYOUTS);
      const now = this.clock.now();
      const due = await dueSums(manager, { currency, now });
      const made: string[] = [];
      for (const row of due)
        if (!row.isErased && row.amountMinor >= Math.max(amountMinor, 1))
          made.push(await insertPayout(manager, row, now));
      return made;
    });
    return Promise.all(ids.map(async (id) => this.get(id)));
  }

  /**
   * The owner has paid it. Said twice, it was paid the first time. Throws `PAYOUT_NOT_FOUND`, and
   * `PAYOUT_CANCELLED_CONFLICT` for one that was cancelled.
   */
  async markPaid(id: string): Promise<Payout> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query(LOCK_PAYOUTS);
      const [paid]: [{ affiliateId: string }[], number] = await manager.query(
        `update payout set state = 'paid', paid_at = $2 where id = $1 and state = 'open'
         returning affiliate_id as "affiliateId"`,
        [id, this.clock.now()],
      );
      for (const { affiliateId } of paid) await forgetPaidOff(manager, affiliateId);
      const payout = await this.get(id, manager);
      if (payout.state === 'paid') return payout;
      const message = `Payout ${id} was cancelled, and what was in it is due again: make a new run`;
      throw new DomainError('PAYOUT_CANCELLED_CONFLICT', message, { id });
    });
  }

  /**
   * Made by mistake: what is in it is due again. Of one that is cancelled already nothing changes. Throws
   * `PAYOUT_NOT_FOUND`, and `PAYOUT_PAID_CONFLICT` for one that is paid.
   */
  async cancel(id: string): Promise<Payout> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query(LOCK_PAYOUTS);
      await cancelPayout(manager, id, this.clock.now());
      const payout = await this.get(id, manager);
      if (payout.state === 'cancelled') return payout;
      throw new DomainError('PAYOUT_PAID_CONFLICT', `Payout ${id} is paid; only an open one is cancelled`, {
        id,
      });
    });
  }

  /** What it takes off for refunds, oldest first. Its commissions are those of its id. */
  async clawbacks(id: string): Promise<Awaited<ReturnType<typeof clawbacksIn>>> {
    return clawbacksIn(this.dataSource.manager, id);
  }

  async get(id: string, manager: EntityManager = this.dataSource.manager): Promise<Payout> {
    const found = await findPayout(manager, id);
    if (found) return found;
    throw notFound('payout', id);
  }

  async list(page: PayoutPage): Promise<Payout[]> {
    return listPayouts(this.dataSource.manager, page);
  }

  /** For the bank and the books, newest first; no cell of it is executed by a spreadsheet. */
  async *csv(state: PayoutState | undefined): AsyncGenerator<string> {
    yield `\ufeff${COLUMNS.map(exportCell).join(',')}\r\n`;
    let beforeId: string | undefined;
    for (;;) {
      const rows = await this.list({ beforeId, limit: CSV_BATCH, state });
      if (rows.length === 0) return;
      yield rows.map((row) => `${cellsOf(row).map(exportCell).join(',')}\r\n`).join('');
      beforeId = rows.at(-1)?.id;
    }
  }
}

function cellsOf(payout: Payout): string[] {
  const { id, affiliateCode, affiliateName, affiliateEmail, amount, state, createdAt, paidAt } = payout;
  const [number = '', currency = ''] = moneyToText(amount).split(' ');
  return [
    ...[id, affiliateCode, affiliateName ?? '', affiliateEmail ?? '', number, currency, state],
    ...[createdAt.toISOString(), paidAt?.toISOString() ?? ''],
  ];
}
