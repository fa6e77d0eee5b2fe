import { Body, Controller, Headers, Param, Patch } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { unchangedSince } from '../infra/http/etag.js';
import { idSchema } from '../infra/http/page.js';
import { SubscriberChangesService } from '../sequences/subscriber-changes/subscriber-changes.service.js';
import {
  subscriberJson,
  type SubscriberJson,
  subscriberSchema,
  updateSubscriberSchema,
  writtenOfSubscriber,
} from '../subscribers/subscribers.schemas.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { NewAddressService } from './new-address.service.js';

/** Stands here and not with the other routes of a subscriber, because a new address asks open sign-ups to be confirmed there. */
@Controller('api/v1/subscribers')
export class SubscriberUpdateController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly changes: SubscriberChangesService,
    private readonly newAddress: NewAddressService,
  ) {}

  @Patch(':id')
  @ApiRoute({
    summary: 'Change a subscriber',
    tag: 'subscribers',
    response: subscriberSchema,
    etag: writtenOfSubscriber,
    ifMatch: true,
    example: { name: 'Ada Lovelace', timeZone: 'Europe/London' },
    errors: [
      'SUBSCRIBER_NOT_FOUND',
      'FIELD_VALUE_INVALID',
      'SUBSCRIBER_ALREADY_EXISTS',
      'SUBSCRIBER_ADDRESS_CONFLICT',
    ],
  })
  async update(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: updateSubscriberSchema }) body: z.output<typeof updateSubscriberSchema>,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<SubscriberJson> {
    const { email, emailNote: note, ...change } = body;
    const unchanged = unchangedSince(ifMatch, subscriberJson);
    if (email === undefined) await this.changes.update(id, change, unchanged);
    else {
      await this.changes.check(id, change);
      await this.newAddress.changeOrRefuse(
        ...([id, email, { source: 'api', pageUrl: 'api', note, unchanged }] as const),
        async (manager) => this.changes.updateIn(manager, id, change),
      );
    }
    return subscriberJson(await this.subscribers.get(id));
  }
}
