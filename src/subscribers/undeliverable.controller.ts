import { Controller, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema } from '../infra/http/page.js';
import { subscriberJson, subscriberSchema } from './subscribers.schemas.js';
import { SubscribersService } from './subscribers.service.js';
import { UndeliverableService } from './undeliverable.service.js';

@Controller('api/v1/subscribers')
export class UndeliverableController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly undeliverable: UndeliverableService,
  ) {}

  @Post(':id/write-again')
  @ApiRoute({
    summary: 'Write again to somebody whose mails did not arrive',
    description:
      'For a `bounced` subscriber whose mailbox was full or could not be reached several times, and whose address no server called dead. They are `active` again, or `pending` where they never confirmed; sequences that ended are not begun anew. The next mail that fails within the month ends it again.',
    tag: 'subscribers',
    response: subscriberSchema,
    status: 200,
    errors: ['SUBSCRIBER_NOT_FOUND', 'SUBSCRIBER_COMEBACK_CONFLICT'],
  })
  async writeAgain(
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<z.output<typeof subscriberSchema>> {
    await this.undeliverable.writeAgain(id);
    return subscriberJson(await this.subscribers.get(id));
  }
}
