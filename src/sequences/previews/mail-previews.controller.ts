import { Body, Controller, Post } from '@nestjs/common';
import type { z } from 'zod';
import { previewRequest, previewResponse } from '../../delivery/preflight/templates.schemas.js';
import { ApiRoute } from '../../infra/http/api-route.js';
import { MailPreviews } from './mail-previews.service.js';

/** Beside the other routes of mail templates: what a mail says to one person, the steps of sequences decide. */
@Controller('api/v1/templates')
export class MailPreviewsController {
  constructor(private readonly previews: MailPreviews) {}

  @Post('preview')
  @ApiRoute({
    summary: 'Show a mail as one subscriber would get it',
    description:
      'With the price and the end that its step would promise this subscriber now. Nothing is stored, sent or promised; links in it are real, but what a token opens works for nobody. `invented` names the values that nobody can know before, for which examples stand in. A mail in a split test is shown as `arm` has it.',
    tag: 'templates',
    response: previewResponse,
    status: 200,
    idempotent: false,
    example: { template: 'emails/welcome', subscriberId: '42' },
    errors: [
      ...['SUBSCRIBER_NOT_FOUND', 'FUNNEL_NOT_FOUND', 'STEP_NOT_FOUND', 'ARM_NOT_FOUND'],
      ...['TEMPLATE_NOT_FOUND', 'TEMPLATE_INVALID'],
    ],
  })
  async preview(@Body({ schema: previewRequest }) body: z.output<typeof previewRequest>): Promise<unknown> {
    return this.previews.preview(body);
  }
}
