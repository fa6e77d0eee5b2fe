import { Controller, Get, Param } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AnalyticsService, type FunnelHeadline } from '../analytics/analytics.service.js';
import { idSchema } from '../infra/http/page.js';
import { MembershipsService } from '../orders/memberships/memberships.service.js';
import { TopicsService } from '../subscribers/topics.service.js';
import { DomainError } from '../values/domain-error.js';
import { type Answer, Page } from './answer.js';
import {
  affiliateOf,
  consentsOf,
  enrollmentsOf,
  findSubscriber,
  formSlugOf,
  messagesOf,
  reasonOf,
  stepsOf,
} from './subscriber-pages.queries.js';

/** One of each product; more products than this nobody sells. */
const MAX_MEMBERSHIPS = 200;

/** The owner's pages: figures and people. They read and change nothing. */
@Controller('admin')
export class DashboardController {
  constructor(
    private readonly analytics: AnalyticsService,
    private readonly topics: TopicsService,
    private readonly memberships: MembershipsService,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  async dashboard(): Promise<Answer> {
    return new Page('dashboard', { funnels: await this.headlines() });
  }

  @Get('funnels')
  async funnels(): Promise<Answer> {
    return new Page('funnels', { funnels: await this.headlines() });
  }

  @Get('funnels/:key')
  async funnel(@Param('key') key: string): Promise<Answer> {
    const report = await this.analytics.funnel(key);
    const slug = await formSlugOf(this.dataSource.manager, key);
    const formUrl = slug === null ? {} : { formUrl: `/p/${slug}` };
    const funnel = { key, title: report.title, ...formUrl };
    return new Page('funnel', { funnel, report: withShortRates(report) });
  }

  @Get('subscribers/:id')
  async subscriber(@Param('id') id: string): Promise<Answer> {
    const db = this.dataSource.manager;
    const subscriber = idSchema.safeParse(id).success ? await findSubscriber(db, id) : null;
    if (subscriber === null)
      throw new DomainError('SUBSCRIBER_NOT_FOUND', 'There is no such subscriber', { id });
    return new Page('subscriber', {
      subscriber,
      messages: await messagesOf(db, id),
      enrollments: await enrollmentsOf(db, id),
      consents: await consentsOf(db, id),
      topics: await this.topics.of(id),
      funnelSteps: await stepsOf(db, id),
      leaveReason: await reasonOf(db, id),
      affiliate: await affiliateOf(db, id),
      memberships: await this.memberships.list({ subscriberId: id }, { limit: MAX_MEMBERSHIPS }),
    });
  }

  private async headlines(): Promise<object[]> {
    return (await this.analytics.funnels()).map((funnel) => withShortRates(funnel));
  }
}

/** The templates say `rates.confirm` where the API says `rates.confirmation`. */
function withShortRates(report: FunnelHeadline): object {
  return { ...report, rates: { ...report.rates, confirm: report.rates.confirmation } };
}
