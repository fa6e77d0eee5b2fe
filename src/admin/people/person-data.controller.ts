import { Body, Controller, Get, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { attachment } from '../../infra/files/content-disposition.js';
import { withPrivateHeaders } from '../../infra/http/send-page.js';
import { ErasureService } from '../../privacy/erasure.service.js';
import { PersonalDataService } from '../../privacy/personal-data.service.js';
import { TrackingChoiceService } from '../../privacy/tracking-choice.service.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { typedTexts } from '../forms/typed-text.js';

/** For who asks the owner by a letter: what people get and do by the links in their own mails, by the same services. */
@Controller('admin/subscribers/:id')
export class PersonDataController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly data: PersonalDataService,
    private readonly erasure: ErasureService,
    private readonly tracking: TrackingChoiceService,
  ) {}

  @Get('export.json')
  async export(@Param('id') id: string, @Res() reply: FastifyReply): Promise<void> {
    const copy = await this.data.of(checkedId(id, 'subscriber'));
    await withPrivateHeaders(reply)
      .header('content-disposition', attachment(`subscriber-${id}.json`))
      .type('application/json; charset=utf-8')
      .send(JSON.stringify(copy, null, 2));
  }

  @Post('stop-tracking')
  async stopTracking(@Param('id') id: string): Promise<Answer> {
    await this.tracking.stop(checkedId(id, 'subscriber'), 'owner');
    return new SeeOther(`/admin/subscribers/${id}`);
  }

  @Get('erase')
  async ask(@Param('id') id: string): Promise<Answer> {
    return this.question(id);
  }

  @Post('erase')
  async erase(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const isSure = typedTexts(body, 3)('understood') === 'yes';
    if (!isSure) return this.question(id, 'tick the box if you are sure');
    // Nobody by this number any more: a second press of the button, whose answer is the same.
    await this.erasure.erase(checkedId(id, 'subscriber'), 'owner');
    return new Page('subscriber-erased', {});
  }

  /** Throws `SUBSCRIBER_NOT_FOUND`. */
  private async question(id: string, understood?: string): Promise<Answer> {
    const subscriber = await this.subscribers.get(checkedId(id, 'subscriber'));
    return new Page('subscriber-erase', { subscriber, errors: { understood } }, understood ? 422 : 200);
  }
}
