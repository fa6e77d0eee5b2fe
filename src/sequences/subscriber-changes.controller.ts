import { Body, Controller, Delete, Param, Patch, Post } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema } from '../infra/http/page.js';
import { FieldsService } from '../subscribers/fields.service.js';
import {
  addTagSchema,
  subscriberJson,
  type SubscriberJson,
  subscriberSchema,
  tagName,
  updateSubscriberSchema,
} from '../subscribers/subscribers.schemas.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { ReactionsService } from './reactions.service.js';
import { ZoneChangesService } from './zone-changes.service.js';

const TAG = 'subscribers';

/** Stands here and not with the other routes of a subscriber, because a change may end or begin sequences. */
@Controller('api/v1/subscribers')
export class SubscriberChangesController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly reactions: ReactionsService,
    private readonly dataSource: DataSource,
    private readonly fields: FieldsService,
    private readonly zones: ZoneChangesService,
  ) {}

  @Patch(':id')
  @ApiRoute({ summary: 'Change a subscriber', tag: TAG, response: subscriberSchema })
  async update(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: updateSubscriberSchema }) body: z.output<typeof updateSubscriberSchema>,
  ): Promise<SubscriberJson> {
    await this.fields.check(body.fields);
    await this.dataSource.transaction(async (manager) => {
      const before = await this.subscribers.update(manager, id, body);
      if (body.timeZone !== undefined) await this.zones.changedFrom(manager, id, before.timeZone);
      await this.reactions.changed(manager, [id], { before: new Map([[id, before.fields]]) });
    });
    return subscriberJson(await this.subscribers.get(id));
  }

  @Post(':id/tags')
  @ApiRoute({ summary: 'Tag a subscriber', tag: TAG, response: subscriberSchema, status: 200 })
  async addTag(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: addTagSchema }) { name }: z.output<typeof addTagSchema>,
  ): Promise<SubscriberJson> {
    await this.subscribers.get(id);
    await this.dataSource.transaction(async (manager) => {
      await this.subscribers.tag(manager, id, name);
      await this.reactions.happened(manager, [id], { kind: 'tag', tag: name });
    });
    return subscriberJson(await this.subscribers.get(id));
  }

  @Delete(':id/tags/:name')
  @ApiRoute({ summary: 'Take a tag off a subscriber', tag: TAG, response: subscriberSchema, status: 200 })
  async removeTag(
    @Param('id', { schema: idSchema }) id: string,
    @Param('name', { schema: tagName }) name: string,
  ): Promise<SubscriberJson> {
    await this.dataSource.transaction(async (manager) => {
      await this.subscribers.untag(manager, id, name);
      await this.reactions.lookAgain(manager, [id]);
    });
    return subscriberJson(await this.subscribers.get(id));
  }
}
