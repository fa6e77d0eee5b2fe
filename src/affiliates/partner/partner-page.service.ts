import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { toPage } from '../../infra/http/page.js';
import { AffiliatesService } from '../affiliates.service.js';
import { affiliateLink, balanceJson } from '../affiliates.schemas.js';
import { CommissionsService } from '../commissions.service.js';
import { PayoutsService } from '../payouts.service.js';
import { earningOf, termsView } from './partner-view.js';
import { landings, senderToAffiliates, termsOfFunnels } from './partner.queries.js';

const PAGE_ROWS = 50;
const PAYOUT_ROWS = 24;

/** What affiliates see of their own doings: nothing of who bought, neither name nor address nor number of an order. */
@Injectable()
export class PartnerPage {
  constructor(
    private readonly dataSource: DataSource,
    private readonly affiliates: AffiliatesService,
    private readonly commissions: CommissionsService,
    private readonly payouts: PayoutsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `AFFILIATE_NOT_FOUND`. */
  async view(id: string, beforeId: string | undefined): Promise<Record<string, unknown>> {
    const affiliate = await this.affiliates.get(id);
    const {
      clicks = 0,
      signUps = 0,
      sales = 0,
      balances = [],
    } = (await this.affiliates.figures([id])).get(id) ?? {};
    const { manager } = this.dataSource;
    const now = this.clock.now();
    const rows = await this.commissions.list({ affiliateId: id, beforeId, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => earningOf(row, now));
    const link = affiliateLink(this.config.baseUrl, affiliate);
    const recruits = await this.affiliates.recruitedBy(id);
    return {
      ...{ name: affiliate.name, code: affiliate.code, isPaused: affiliate.state === 'paused', link },
      pages: (await landings(manager)).map(({ path, title }) => ({ title, link: `${link}?to=${path}` })),
      terms: (await termsOfFunnels(manager)).map(termsView),
      figures: { clicks, signUps, sales },
      balances: balances.map(balanceJson),
      earnings: data,
      nextCursor,
      recruits: recruits.map(({ code, state, createdAt }) => ({ code, state, createdAt })),
      payouts: (await this.payouts.list({ affiliateId: id, limit: PAYOUT_ROWS })).map(
        ({ amount, state, createdAt, paidAt }) => ({ amount, state, createdAt, paidAt }),
      ),
      ...(await this.footer()),
    };
  }

  /** Whose programme it is, at the foot of the page. */
  async footer(): Promise<{ footer?: { senderName: string; postalAddress: string } }> {
    const from = await senderToAffiliates(this.dataSource.manager);
    if (from === null) return {};
    return { footer: { senderName: from.sender.name, postalAddress: from.sender.postalAddress } };
  }
}
