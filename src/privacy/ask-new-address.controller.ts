import { Body, Controller, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema } from '../infra/http/page.js';
import { NewAddressService } from '../signup/new-address.service.js';
import { emailSchema } from '../subscribers/subscribers.schemas.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { ADDRESS_LINK_HOURS } from './address-links.service.js';
import { AddressRequests } from './address-requests.service.js';

const body = z.strictObject({ email: emailSchema });
const answer = z.object({
  isAsked: z.boolean().meta({ description: 'False where they have that address already.' }),
});

/** Stands here and not with the other routes of a subscriber, because it mails a link of theirs. */
@Controller('api/v1/subscribers')
export class AskNewAddressController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly requests: AddressRequests,
    private readonly newAddress: NewAddressService,
  ) {}

  @Post(':id/ask-new-address')
  @ApiRoute({
    summary: 'Ask a subscriber to confirm a new address',
    description: `Mails a link to that address, which works for ${ADDRESS_LINK_HOURS} hours. Once its button is pressed their mails go there, and the old address is told; until then nothing changes. Takes the place of what was asked before.`,
    tag: 'subscribers',
    response: answer,
    status: 200,
    example: { email: 'ada@example.org' },
    errors: ['SUBSCRIBER_NOT_FOUND', 'SUBSCRIBER_ALREADY_EXISTS', 'SUBSCRIBER_ADDRESS_CONFLICT'],
  })
  async ask(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: body }) { email }: z.output<typeof body>,
  ): Promise<z.output<typeof answer>> {
    const person = await this.subscribers.get(id);
    const asked = await this.requests.ask(person, email, 'api');
    await this.newAddress.refuse(id, email, asked);
    return { isAsked: asked === 'asked' };
  }
}
