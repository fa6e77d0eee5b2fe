import { Inject, Injectable } from '@nestjs/common';
import { affiliateJson } from '../../affiliates/affiliates.schemas.js';
import { AffiliatesService } from '../../affiliates/affiliates.service.js';
import { CommissionsService } from '../../affiliates/commissions.service.js';
import { PayoutsService } from '../../affiliates/payouts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { toPage } from '../../infra/http/page.js';
import { commissionRow } from './affiliate-form.js';

const PAGE_ROWS = 50;
/** The latest; all of them stand on the page of payouts. */
const PAYOUT_ROWS = 12;

/** What the page of one affiliate shows. */
@Injectable()
export class AffiliatePage {
  constructor(
    private readonly affiliates: AffiliatesService,
    private readonly commissions: CommissionsService,
    private readonly payouts: PayoutsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `AFFILIATE_NOT_FOUND`. */
  async view(id: string, beforeId: string | undefined): Promise<Record<string, unknown>> {
    const affiliate = await this.affiliates.get(id);
    const figures = await this.affiliates.figures([id]);
    const now = this.clock.now();
    const rows = await this.commissions.list({ affiliateId: id, beforeId, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => commissionRow(row, now));
    const { recruiterId } = affiliate;
    return {
      affiliate: affiliateJson(affiliate, figures.get(id), this.config.baseUrl),
      recruiter: recruiterId === null ? null : await this.affiliates.get(recruiterId),
      recruited: await this.affiliates.recruitedBy(id),
      commissions: data,
      nextCursor,
      payouts: await this.payouts.list({ affiliateId: id, limit: PAYOUT_ROWS }),
    };
  }
}
