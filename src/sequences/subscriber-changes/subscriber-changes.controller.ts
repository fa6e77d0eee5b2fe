import { Body, Controller, Delete, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { idSchema } from '../../infra/http/page.js';
import {
  addTagSchema,
  subscriberJson,
  type SubscriberJson,
  subscriberSchema,
  tagName,
} from '../../subscribers/subscribers.schemas.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { SubscriberChangesService } from './subscriber-changes.service.js';

const TAG = 'subscribers';

/** Stands here and not with the other routes of a subscriber, because a tag may end or begin sequences. */
@Controller('api/v1/subscribers')
export class SubscriberChangesController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly changes: SubscriberChangesService,
  ) {}

  @Post(':id/tags')
  @ApiRoute({
    summary: 'Tag a subscriber',
    tag: TAG,
    response: subscriberSchema,
    status: 200,
    example: { name: 'webinar guest' },
    errors: ['SUBSCRIBER_NOT_FOUND'],
  })
  async addTag(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: addTagSchema }) { name }: z.output<typeof addTagSchema>,
  ): Promise<SubscriberJson> {
    await this.changes.addTag(id, name);
    return subscriberJson(await this.subscribers.get(id));
  }

  @Delete(':id/tags/:name')
  @ApiRoute({
    summary: 'Take a tag off a subscriber',
    tag: TAG,
    response: subscriberSchema,
    status: 200,
    errors: ['SUBSCRIBER_NOT_FOUND'],
  })
  async removeTag(
    @Param('id', { schema: idSchema }) id: string,
    @Param('name', { schema: tagName }) name: string,
  ): Promise<SubscriberJson> {
    await this.changes.removeTag(id, name);
    return subscriberJson(await this.subscribers.get(id));
  }
}
