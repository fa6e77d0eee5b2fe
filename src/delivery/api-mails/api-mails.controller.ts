import { Body, Controller, Headers, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { callerOf } from '../../infra/access/caller.js';
import { ApiRoute } from '../../infra/http/api-route.js';
import { MessagesQueries } from '../ledger/messages.queries.js';
import { messageResponse } from '../ledger/messages.schemas.js';
import { ApiMailLimits } from './api-mail-limits.service.js';
import { apiMailPreview, apiMailRequest } from './api-mails.schemas.js';
import { ApiMails } from './api-mails.service.js';

const EXAMPLE = {
  template: 'emails/shipped',
  to: 'grace@example.com',
  data: { order: 'A-1042', carrier: 'Mill Lane Parcels', url: 'https://shop.example.com/parcels/A-1042' },
  replyTo: 'help@example.com',
};
const ERRORS = [
  ...['TEMPLATE_NOT_FOUND', 'TEMPLATE_INVALID', 'FUNNEL_NOT_FOUND'],
  ...['MESSAGE_SENDER_INVALID', 'MESSAGE_VARIABLES_INVALID', 'MESSAGE_DATA_INVALID'],
];

/** Beside the list of messages: one is made here by a program. */
@Controller('api/v1/messages')
export class ApiMailsController {
  constructor(
    private readonly mails: ApiMails,
    private readonly limits: ApiMailLimits,
    private readonly messages: MessagesQueries,
  ) {}

  @Post()
  @ApiRoute({
    summary: 'Send one mail of a template to one address',
    description:
      'Transactional: for what somebody waits for, such as a receipt, a password link or news of an order. It goes before all bulk mail, through the ledger: it is tried again while the receiver puts it off, and sent once more when nobody can say whether it arrived. It asks for no consent and has no way out, so a template that prints `unsubscribeUrl` is refused; it goes to no address that is dead, has complained or was erased, and `state` is then `suppressed`. What the template prints and is not given is refused by name. With an `Idempotency-Key` the same request never plans another mail, also when a process dies in between and after the 24 hours. At most 1,000 requests of one API key a minute, and 60 mails to one mailbox an hour.',
    tag: 'messages',
    response: messageResponse,
    example: EXAMPLE,
    errors: [...ERRORS, 'MESSAGE_RATE_LIMITED'],
  })
  async send(
    @Body({ schema: apiMailRequest }) wanted: z.output<typeof apiMailRequest>,
    @Headers('idempotency-key') key: string | undefined,
    @Req() request: FastifyRequest,
  ): Promise<unknown> {
    const apiKeyId = callerOf(request) ?? '';
    await this.limits.takeOfKey(apiKeyId);
    const once = key === undefined ? undefined : JSON.stringify([apiKeyId, key, request.body]);
    const id = await this.mails.send(wanted, once, async (manager) =>
      this.limits.takeOfMailbox(manager, wanted.to.key),
    );
    const [message] = await this.messages.list({ id, limit: 1 });
    return message;
  }

  @Post('preview')
  @ApiRoute({
    summary: 'Show a mail as it would be sent to one address',
    description: 'Takes and refuses what sending it does. Nothing is stored or sent.',
    tag: 'messages',
    response: apiMailPreview,
    status: 200,
    idempotent: false,
    example: EXAMPLE,
    errors: ERRORS,
  })
  async preview(@Body({ schema: apiMailRequest }) wanted: z.output<typeof apiMailRequest>): Promise<unknown> {
    return this.mails.preview(wanted);
  }
}
