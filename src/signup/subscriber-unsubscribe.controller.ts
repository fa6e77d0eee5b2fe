import { Controller, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema } from '../infra/http/page.js';
import { subscriberJson, subscriberSchema } from '../subscribers/subscribers.schemas.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { UnsubscribeService } from './unsubscribe.service.js';

/** Stands here and not with the other routes of a subscriber, because leaving also ends sequences. */
@Controller('api/v1/subscribers')
export class SubscriberUnsubscribeController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly leave: UnsubscribeService,
  ) {}

  @Post(':id/unsubscribe')
  @ApiRoute({
    summary: 'Unsubscribe a subscriber',
    description:
      'Ends their sequences and suppresses marketing to the address. Repeating it changes nothing.',
    tag: 'subscribers',
    response: subscriberSchema,
    status: 200,
    errors: ['SUBSCRIBER_NOT_FOUND'],
  })
  async unsubscribe(
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<z.output<typeof subscriberSchema>> {
    await this.leave.byId(id, 'api');
    return subscriberJson(await this.subscribers.get(id));
  }
}
