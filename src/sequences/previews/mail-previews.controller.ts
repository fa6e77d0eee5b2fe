import { Body, Controller, Post } from '@nestjs/common';
import type { z } from 'zod';
import {
  previewRequest,
  previewResponse,
  testRequest,
  testResponse,
} from '../../delivery/preflight/templates.schemas.js';
import { TestMails } from '../../delivery/preflight/test-mails.service.js';
import { ApiRoute } from '../../infra/http/api-route.js';
import { MailPreviews } from './mail-previews.service.js';

/** Beside the other routes of mail templates: what a mail says to one person, the steps of sequences decide. */
@Controller('api/v1/templates')
export class MailPreviewsController {
  constructor(
    private readonly previews: MailPreviews,
    private readonly tests: TestMails,
  ) {}

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

  @Post('test')
  @ApiRoute({
    summary: 'Send a mail to yourself as a test',
    description:
      'As one subscriber would get it, which is what the preview shows, with `[Test]` before its subject. It goes through the relay like other mails; nothing in it is counted, links of the reader work for nobody, and nothing is promised to them.',
    tag: 'templates',
    response: testResponse,
    example: { template: 'emails/welcome', subscriberId: '42', to: 'ada@example.com' },
    errors: [
      ...['SUBSCRIBER_NOT_FOUND', 'FUNNEL_NOT_FOUND', 'STEP_NOT_FOUND', 'ARM_NOT_FOUND'],
      ...['TEMPLATE_NOT_FOUND', 'TEMPLATE_INVALID', 'TEST_SENDER_INVALID'],
    ],
  })
  async test(@Body({ schema: testRequest }) body: z.output<typeof testRequest>): Promise<unknown> {
    const { to, ...wanted } = body;
    const { sender, ...mail } = await this.previews.preview(wanted);
    return this.tests.send(mail, { to, sender, funnelKey: wanted.funnel, readerId: wanted.subscriberId });
  }
}
