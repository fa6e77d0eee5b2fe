import { Controller, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { releasedResponse, resentResponse } from './waiting.schemas.js';
import { SequencePauses } from './sequence-pauses.service.js';
import { SequenceUnknowns } from './sequence-unknowns.service.js';

const funnelKey = z.string().min(1).max(200);

@Controller('api/v1/sending/sequences')
export class SequencePausesController {
  constructor(
    private readonly pauses: SequencePauses,
    private readonly unknowns: SequenceUnknowns,
  ) {}

  @Post(':funnel/pause')
  @ApiRoute({
    summary: 'Pause the mails of a funnel’s sequences',
    description:
      'People stay at their steps, and mails that are written wait. Let go on, steps follow one another as before. Confirmations and receipts go.',
    tag: 'sending',
    response: releasedResponse,
    status: 200,
    idempotent: false,
    errors: ['FUNNEL_NOT_FOUND'],
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
    errors: ['FUNNEL_NOT_FOUND'],
  })
  async resume(@Param('funnel', { schema: funnelKey }) funnel: string): Promise<unknown> {
    return { released: await this.pauses.resume(funnel) };
  }

  @Post(':funnel/unknown/resend')
  @ApiRoute({
    summary:
      'Send the mails of a funnel’s sequences once more of which it is not known whether they were taken',
    description:
      'One more try each, under the same Message-ID, by which many mail systems drop a second copy; some readers may get it twice. Left out are those of which something has come back, whose end is past, or which were sent once more already; those of people who have left, are suppressed, have a pause or are out of the sequence; and those after which a later mail of the sequence has gone to the same person. Repeating it sends nothing again. Refused while the sequence is paused.',
    tag: 'sending',
    response: resentResponse,
    status: 200,
    idempotent: false,
    errors: ['FUNNEL_NOT_FOUND', 'SEQUENCE_STATE_CONFLICT'],
  })
  async resendUnknown(@Param('funnel', { schema: funnelKey }) funnel: string): Promise<unknown> {
    return { resent: await this.unknowns.resend(funnel) };
  }
}
