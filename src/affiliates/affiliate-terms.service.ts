import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { type Duration, durationText } from '../values/duration.js';
import type { CommissionRates } from './commission.js';
import type { Attribution } from './touch.js';

/** What a funnel pays its affiliates. `hold` and `cookie` as people write them, `30 days`. */
export interface AffiliateTerms extends CommissionRates {
  hold: string;
  cookie: string;
  attribution: Attribution;
}

/** How long a click counts where no funnel says otherwise. */
export const USUAL_COOKIE = '60 days';

/** How clicks count where a funnel pays nothing. */
export const USUAL_WAY: Pick<AffiliateTerms, 'cookie' | 'attribution'> = {
  cookie: USUAL_COOKIE,
  attribution: 'last',
};

/** The terms of each funnel. The only writer of `affiliate_terms`. */
@Injectable()
export class AffiliateTermsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** They count for sales that are paid from now on; null: those sales earn nothing. What was earned stays as it is. */
  async publish(
    manager: EntityManager,
    funnelKey: string,
    terms: (CommissionRates & { hold: Duration; cookie: Duration; attribution: Attribution }) | null,
  ): Promise<void> {
    if (terms === null) {
      await manager.query('delete from affiliate_terms where funnel_key = $1', [funnelKey]);
      return;
    }
    const { commissionBps, secondTierBps, hold, cookie, attribution } = terms;
    await manager.query(
      `insert into affiliate_terms (funnel_key, commission_bps, second_tier_bps, hold, cookie, updated_at, attribution)
       values ($1, $2, $3, $4, $5, $6, $7)
       on conflict (funnel_key) do update set commission_bps = excluded.commission_bps,
         second_tier_bps = excluded.second_tier_bps, hold = excluded.hold, cookie = excluded.cookie,
         updated_at = excluded.updated_at, attribution = excluded.attribution`,
      [
        ...[funnelKey, commissionBps, secondTierBps, durationText(hold), durationText(cookie)],
        ...[this.clock.now(), attribution],
      ],
    );
  }

  async of(
    funnelKey: string,
    manager: EntityManager = this.dataSource.manager,
  ): Promise<AffiliateTerms | null> {
    const rows: AffiliateTerms[] = await manager.query(
      `select commission_bps as "commissionBps", second_tier_bps as "secondTierBps", hold, cookie, attribution
         from affiliate_terms where funnel_key = $1`,
      [funnelKey],
    );
    return rows[0] ?? null;
  }

  /** The windows of all funnels: a browser keeps its cookie for the longest. */
  async windows(): Promise<string[]> {
    const rows: { cookie: string }[] = await this.dataSource.query(
      'select distinct cookie from affiliate_terms',
    );
    return rows.map(({ cookie }) => cookie);
  }
}
