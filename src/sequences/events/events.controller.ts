import { Body, Controller, Post } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { idSchema } from '../../infra/http/page.js';
import { DomainError } from '../../values/domain-error.js';
import { emailSchema } from '../../subscribers/subscribers.schemas.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { eventName } from '../sequences.schemas.js';
import { EVENT_LATEST_DAYS, EventsService } from './events.service.js';

const eventBody = z
  .strictObject({
    subscriberId: idSchema.optional(),
    email: emailSchema.optional().meta({ description: 'In place of subscriberId.' }),
    name: eventName,
    key: z.string().trim().min(1).max(200).optional().meta({
      description: 'Names this one event, such as an order number. Told twice, it counts once.',
    }),
    at: z.iso
      .datetime({ offset: true })
      .optional()
      .meta({
        description: `When it happened, at most ${EVENT_LATEST_DAYS} days ago and not in the future; now, when it is left out or within five minutes. Conditions, joining again and the first delay of a sequence that it begins go by this time. Sequences that began later do not hear of it, and nobody is taken back from where they are.`,
      }),
  })
  .refine(({ subscriberId, email }) => (subscriberId === undefined) !== (email === undefined), {
    path: ['subscriberId'],
    error: 'name the person by subscriberId or by email, one of the two',
  });

const eventAnswer = z.object({
  subscriberId: z.string(),
  name: z.string(),
  known: z.boolean().meta({ description: 'True when the event had been told before; nothing happened.' }),
});

/** Events that the owner's other programs tell; opens and clicks are listed under the same address. */
@Controller('api/v1/events')
export class EventsController {
  constructor(
    private readonly events: EventsService,
    private readonly subscribers: SubscribersService,
  ) {}

  @Post()
  @ApiRoute({
    summary: 'Tell an event of a subscriber',
    description: 'Sequences may wait for it, begin with it, end with it or go to a goal.',
    tag: 'events',
    response: eventAnswer,
    example: { email: 'ada@example.com', name: 'webinar-attended', key: 'webinar-2026-03-02-ada' },
    errors: ['SUBSCRIBER_NOT_FOUND', 'EVENT_TIME_INVALID'],
  })
  async tell(
    @Body({ schema: eventBody }) body: z.output<typeof eventBody>,
  ): Promise<z.output<typeof eventAnswer>> {
    const { name, key, at } = body;
    const subscriberId = body.subscriberId ?? (await this.idOf(body.email?.key ?? ''));
    const event = { subscriberId, name, key, at: at === undefined ? undefined : new Date(at) };
    return { subscriberId, name, ...(await this.events.tell(event)) };
  }

  private async idOf(emailKey: string): Promise<string> {
    const found = await this.subscribers.findByEmailKey(emailKey);
    if (found) return found.id;
    throw new DomainError('SUBSCRIBER_NOT_FOUND', 'email: there is no subscriber with this address', {});
  }
}
