import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, type Page, toPage } from '../infra/http/page.js';
import { DomainError } from '../values/domain-error.js';
import { FieldsService } from './fields.service.js';
import {
  createSubscriberSchema,
  subscriberJson,
  type SubscriberJson,
  subscriberPage,
  subscriberQuery,
  subscriberSchema,
  writtenOfSubscriber,
} from './subscribers.schemas.js';
import { SubscribersService } from './subscribers.service.js';

const TAG = 'subscribers';

/** Changing and unsubscribing through the API stand in later modules, because sequences look at what changed. */
@Controller('api/v1/subscribers')
export class SubscribersController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly dataSource: DataSource,
    private readonly fields: FieldsService,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List subscribers', tag: TAG, response: subscriberPage })
  async list(
    @Query({ schema: subscriberQuery }) { email, cursor, limit }: z.output<typeof subscriberQuery>,
  ): Promise<Page<SubscriberJson>> {
    if (email === undefined)
      return toPage(await this.subscribers.page(cursor, limit + 1), limit, subscriberJson);
    const found = await this.subscribers.findByEmailKey(email.key);
    return { data: found === null ? [] : [subscriberJson(found)], nextCursor: null };
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One subscriber',
    tag: TAG,
    response: subscriberSchema,
    etag: writtenOfSubscriber,
    errors: ['SUBSCRIBER_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<SubscriberJson> {
    return subscriberJson(await this.subscribers.get(id));
  }

  /** Throws `SUBSCRIBER_ALREADY_EXISTS`: changing somebody by creating them again would hide mistakes. */
  @Post()
  @ApiRoute({
    summary: 'Create a subscriber',
    description: 'The status is `pending` until the owner of the address has confirmed.',
    tag: TAG,
    response: subscriberSchema,
    example: {
      email: 'ada@example.com',
      name: 'Ada',
      timeZone: 'Europe/Vienna',
      tags: ['webinar guest'],
      consent: {
        text: 'Send me the guide and weekly tips.',
        at: '2025-12-02T09:30:00Z',
        pageUrl: 'https://shop.example.com/webinar',
      },
    },
    errors: ['SUBSCRIBER_ALREADY_EXISTS', 'FIELD_VALUE_INVALID', 'CONSENT_TIME_INVALID'],
  })
  async create(
    @Body({ schema: createSubscriberSchema }) body: z.output<typeof createSubscriberSchema>,
  ): Promise<SubscriberJson> {
    const { tags, consent, ...details } = body;
    await this.fields.check(details.fields);
    const id = await this.dataSource.transaction(async (manager) => {
      const { id: subscriberId, created } = await this.subscribers.upsert(manager, details);
      if (!created) {
        throw new DomainError('SUBSCRIBER_ALREADY_EXISTS', 'email: there is a subscriber with this address', {
          id: subscriberId,
        });
      }
      for (const name of tags) await this.subscribers.tag(manager, subscriberId, name);
      if (consent) {
        const { text, at, ...rest } = consent;
        await this.subscribers.recordConsent(manager, {
          ...rest,
          subscriberId,
          kind: 'granted',
          purpose: 'marketing',
          consentText: text,
          ...(at === undefined ? {} : { at: new Date(at) }),
        });
      }
      return subscriberId;
    });
    return subscriberJson(await this.subscribers.get(id));
  }
}
