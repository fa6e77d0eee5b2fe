import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MembershipsService } from '../../orders/memberships/memberships.service.js';
import type { Subscriber } from '../../subscribers/subscriber.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { TopicsService } from '../../subscribers/topics.service.js';
import { UndeliverableService } from '../../subscribers/undeliverable.service.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { PersonChangesService } from './person-changes.service.js';
import {
  affiliateOf,
  consentsOf,
  enrollmentsOf,
  messagesOf,
  reasonOf,
  stepsOf,
} from './subscriber-pages.queries.js';

/** One of each product; more products than this nobody sells. */
const MAX_MEMBERSHIPS = 200;

/** One person: who they are, what they got and did, and what the owner changes about them. */
@Controller('admin/subscribers/:id')
export class PersonPagesController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly changes: PersonChangesService,
    private readonly topics: TopicsService,
    private readonly memberships: MembershipsService,
    private readonly undeliverable: UndeliverableService,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  async show(@Param('id') id: string): Promise<Answer> {
    const db = this.dataSource.manager;
    const subscriber = await this.person(id);
    return new Page('subscriber', {
      subscriber,
      mayBeWrittenAgain: await this.undeliverable.mayBeWrittenAgain(subscriber),
      ...(await this.changes.known(subscriber)),
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

  @Get('edit')
  async edit(@Param('id') id: string): Promise<Answer> {
    const subscriber = await this.person(id);
    return new Page('subscriber-edit', { subscriber, ...(await this.changes.blankForm(subscriber)) });
  }

  @Post('edit')
  async change(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const subscriber = await this.person(id);
    const again = await this.changes.change(subscriber, body);
    if (again === null) return new SeeOther(`/admin/subscribers/${id}`);
    return new Page('subscriber-edit', { subscriber, ...again }, 422);
  }

  @Post('write-again')
  async writeAgain(@Param('id') id: string): Promise<Answer> {
    const subscriber = await this.person(id);
    if (await this.undeliverable.mayBeWrittenAgain(subscriber)) await this.undeliverable.writeAgain(id);
    return new SeeOther(`/admin/subscribers/${id}`);
  }

  /** Throws `SUBSCRIBER_NOT_FOUND`. */
  private async person(id: string): Promise<Subscriber> {
    return this.subscribers.get(checkedId(id, 'subscriber'));
  }
}
