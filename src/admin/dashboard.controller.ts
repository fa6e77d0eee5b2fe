import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DataSource } from 'typeorm';
import { AnalyticsService, type FunnelHeadline } from '../analytics/analytics.service.js';
import { idSchema } from '../infra/http/page.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPage } from '../infra/http/send-page.js';
import { TopicsService } from '../subscribers/topics.service.js';
import { DomainError } from '../values/domain-error.js';
import { OwnerAccess } from './owner-access.service.js';
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

/** The owner's pages: figures and people. They read and change nothing. */
@Controller('admin')
export class DashboardController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly analytics: AnalyticsService,
    private readonly pages: PageRenderer,
    private readonly topics: TopicsService,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  async dashboard(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.show(request, reply, 'dashboard', async () => ({ funnels: await this.headlines() }));
  }

  @Get('funnels')
  async funnels(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.show(request, reply, 'funnels', async () => ({ funnels: await this.headlines() }));
  }

  @Get('funnels/:key')
  async funnel(
    @Param('key') key: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.show(request, reply, 'funnel', async () => {
      const report = await this.analytics.funnel(key);
      const slug = await formSlugOf(this.dataSource.manager, key);
      const formUrl = slug === null ? {} : { formUrl: `/p/${slug}` };
      return { funnel: { key, title: report.title, ...formUrl }, report: withShortRates(report) };
    });
  }

  @Get('subscribers/:id')
  async subscriber(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.show(request, reply, 'subscriber', async () => {
      const db = this.dataSource.manager;
      const subscriber = idSchema.safeParse(id).success ? await findSubscriber(db, id) : null;
      if (subscriber === null)
        throw new DomainError('SUBSCRIBER_NOT_FOUND', 'There is no such subscriber', { id });
      return {
        subscriber,
        messages: await messagesOf(db, id),
        enrollments: await enrollmentsOf(db, id),
        consents: await consentsOf(db, id),
        topics: await this.topics.of(id),
        funnelSteps: await stepsOf(db, id),
        leaveReason: await reasonOf(db, id),
        affiliate: await affiliateOf(db, id),
      };
    });
  }

  private async headlines(): Promise<object[]> {
    return (await this.analytics.funnels()).map((funnel) => withShortRates(funnel));
  }

  /** The view is read only once the owner is known. */
  private async show(
    request: FastifyRequest,
    reply: FastifyReply,
    ...[template, view]: [template: string, view: () => Promise<object>]
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const html = await this.pages.render(`admin/${template}`, {
      ...this.access.frame(owner),
      ...(await view()),
    });
    sendPage(reply, 200, html);
  }
}

/** The templates say `rates.confirm` where the API says `rates.confirmation`. */
function withShortRates(report: FunnelHeadline): object {
  return { ...report, rates: { ...report.rates, confirm: report.rates.confirmation } };
}
