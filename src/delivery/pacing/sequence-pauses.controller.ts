import { Controller, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { releasedResponse } from './sending.schemas.js';
import { SequencePauses } from './sequence-pauses.service.js';

const funnelKey = z.string().min(1).max(200);

@Controller('api/v1/sending/sequences')
export class SequencePausesController {
  constructor(private readonly pauses: SequencePauses) {}

  @Post(':funnel/pause')
  @ApiRoute({
    summary: 'Pause the mails of a funnel’s sequences',
    description: 'People go on through their steps; the mails wait. Confirmations and receipts go.',
    tag: 'sending',
    response: releasedResponse,
    status: 200,
    idempotent: false,
  })
  async pause(@Param('funnel', { schema: funnelKey }) funnel: string): Promise<unknown> {
    await this.pauses.pauseByOwner(funnel);
    return { released: 0 };
  }

  @Post(':funnel/resume')
  @ApiRoute({
    summary: 'Let the mails of a funnel’s sequences go on',
    description:
      'Also after a pause that came by itself, for complaints, dead addresses or refusals because of the sender.',
    tag: 'sending',
    response: releasedResponse,
    status: 200,
    idempotent: false,
  })
  async resume(@Param('funnel', { schema: funnelKey }) funnel: string): Promise<unknown> {
    return { released: await this.pauses.resume(funnel) };
  }
}
