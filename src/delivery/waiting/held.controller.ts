import { Body, Controller, Post } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { HeldService } from './held.service.js';
import { cancelledResponse, heldFilter, releasedResponse } from './waiting.schemas.js';

@Controller('api/v1/messages/held')
export class HeldController {
  constructor(private readonly held: HeldService) {}

  @Post('release')
  @ApiRoute({
    summary: 'Send messages that were held',
    description:
      'Those of a broadcast go at once, and so do those of a step that has an `at` alone; window, quiet hours and days of a step are kept, and so are the hours of a broadcast with `atLocal`: by night its mails wait for 08:00, or with `nextDay` for its hour. Left out, and ended, are those that are of no use any more, and late steps of which a later one has gone.',
    tag: 'messages',
    response: releasedResponse,
    status: 200,
    idempotent: false,
    example: { broadcastId: '7' },
  })
  async release(@Body({ schema: heldFilter }) filter: z.output<typeof heldFilter>): Promise<unknown> {
    return { released: await this.held.release(filter) };
  }

  @Post('cancel')
  @ApiRoute({
    summary: 'Cancel messages that were held',
    tag: 'messages',
    response: cancelledResponse,
    status: 200,
    idempotent: false,
    example: { broadcastId: '7' },
  })
  async cancel(@Body({ schema: heldFilter }) filter: z.output<typeof heldFilter>): Promise<unknown> {
    return { cancelled: await this.held.cancel(filter) };
  }
}
