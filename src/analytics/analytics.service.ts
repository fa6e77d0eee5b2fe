import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { notFound } from '../values/not-found.js';
import type { Money } from '../values/money.js';
import {
  countStages,
  countSteps,
  countUpsells,
  findFunnel,
  listFunnels,
  mailSteps,
  pageOfFunnels,
  sumRevenue,
  type FunnelRow,
} from './funnel.queries.js';
import {
  funnelRates,
  mainRevenue,
  rateOf,
  stepReports,
  type FunnelCounts,
  type FunnelRates,
  type StepReport,
  type UpsellCounts,
} from './funnel-report.js';
import type { Period } from './period.js';

export interface FunnelHeadline extends FunnelCounts {
  id: string;
  key: string;
  title: string;
  revenue: Money;
  /** One per currency; sums of different currencies mean nothing. */
  revenues: Money[];
  rates: FunnelRates;
}

export interface FunnelReport extends FunnelHeadline {
  steps: StepReport[];
  /** What was offered after orders; its revenue is part of the funnel's. */
  upsells: (UpsellCounts & { takeRate: number | null })[];
}

const ALWAYS: Period = { from: null, to: null };

/** Read-only questions. The API and the admin pages ask the same ones, so they show the same numbers. */
@Injectable()
export class AnalyticsService {
  constructor(private readonly dataSource: DataSource) {}

  /** Of all funnels that are not archived, by title. */
  async funnels(): Promise<FunnelHeadline[]> {
    return this.headlines(await listFunnels(this.dataSource.manager), ALWAYS);
  }

  async page(page: Parameters<typeof pageOfFunnels>[1], period: Period): Promise<FunnelHeadline[]> {
    return this.headlines(await pageOfFunnels(this.dataSource.manager, page), period);
  }

  /** Throws `FUNNEL_NOT_FOUND`. */
  async funnel(key: string, period: Period = ALWAYS): Promise<FunnelReport> {
    const db = this.dataSource.manager;
    const funnel = await findFunnel(db, key);
    if (funnel === null) throw notFound('funnel', key, 'key');
    const headline = await this.headline(funnel, period);
    const steps = stepReports(await mailSteps(db, key), await countSteps(db, key, period));
    const upsells = (await countUpsells(db, key, period)).map((one) => ({
      ...one,
      takeRate: rateOf(one.taken, one.shown),
    }));
    return { ...headline, steps, upsells };
  }

  /** One after the other: a page of figures must not take all connections from the mails. */
  private async headlines(funnels: readonly FunnelRow[], period: Period): Promise<FunnelHeadline[]> {
    const headlines: FunnelHeadline[] = [];
    for (const funnel of funnels) headlines.push(await this.headline(funnel, period));
    return headlines;
  }

  private async headline({ id, key, title, currency }: FunnelRow, period: Period): Promise<FunnelHeadline> {
    const counts = await countStages(this.dataSource.manager, key, period);
    const revenues = await sumRevenue(this.dataSource.manager, key, period);
    return {
      id,
      key,
      title,
      ...counts,
      revenue: mainRevenue(revenues, currency),
      revenues,
      rates: funnelRates(counts),
    };
  }
}
