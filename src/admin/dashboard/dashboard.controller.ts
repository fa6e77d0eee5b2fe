import { Controller, Get, Param } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AnalyticsService, type FunnelHeadline } from '../../analytics/analytics.service.js';
import { FunnelsService } from '../../funnels/funnels.service.js';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { type Answer, Page } from '../answers/answer.js';
import { formSlugOf } from '../people/subscriber-pages.queries.js';

/** The gravest; all of them are on the page Sending. */
const MOST_ALERTS = 5;

/** The owner's figures. They read and change nothing. */
@Controller('admin')
export class DashboardController {
  constructor(
    private readonly analytics: AnalyticsService,
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    private readonly store: FunnelsService,
  ) {}

  @Get()
  async dashboard(): Promise<Answer> {
    const open = await this.alerts.open();
    const alerts = open.slice(0, MOST_ALERTS);
    const moreAlerts = open.length - alerts.length;
    return new Page('dashboard', { funnels: await this.headlines(), alerts, moreAlerts });
  }

  @Get('funnels')
  async funnels(): Promise<Answer> {
    const archived = (await this.store.list()).filter(({ archivedAt }) => archivedAt !== null);
    return new Page('funnels', { funnels: await this.headlines(), archived });
  }

  @Get('funnels/:key')
  async funnel(@Param('key') key: string): Promise<Answer> {
    const report = await this.analytics.funnel(key);
    const slug = await formSlugOf(this.dataSource.manager, key);
    const formUrl = slug === null ? {} : { formUrl: `/p/${slug}` };
    const { archivedAt, peopleAfter } = await this.store.get(key);
    const funnel = { key, title: report.title, archivedAt, peopleAfter, ...formUrl };
    return new Page('funnel', { funnel, report: withShortRates(report) });
  }

  private async headlines(): Promise<object[]> {
    return (await this.analytics.funnels()).map((funnel) => withShortRates(funnel));
  }
}

/** The templates say `rates.confirm` where the API says `rates.confirmation`. */
function withShortRates(report: FunnelHeadline): object {
  return { ...report, rates: { ...report.rates, confirm: report.rates.confirmation } };
}
