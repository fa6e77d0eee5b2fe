import { Controller, Get, Param, Query } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { idSchema, toPage } from '../../infra/http/page.js';
import { notFound } from '../../values/not-found.js';
import { messagePage, messageQuery, messageResponse } from './messages.schemas.js';
import { MessagesQueries } from './messages.queries.js';

@Controller('api/v1/messages')
export class MessagesController {
  constructor(private readonly messages: MessagesQueries) {}

  @Get()
  @ApiRoute({ summary: 'List messages, newest first', tag: 'messages', response: messagePage })
  async list(
    @Query({ schema: messageQuery }) { cursor, limit, ...filter }: z.output<typeof messageQuery>,
  ): Promise<unknown> {
    const rows = await this.messages.list({ ...filter, beforeId: cursor, limit: limit + 1 });
    return toPage(rows, limit, (row) => row);
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One message with its state',
    tag: 'messages',
    response: messageResponse,
    errors: ['MESSAGE_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const [message] = await this.messages.list({ id, limit: 1 });
    if (!message) throw notFound('message', id);
    return message;
  }
}
