import { Body, Controller, Get, Post } from '@nestjs/common';
import { SendingSettingsService } from '../../delivery/pacing/sending-settings.service.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { limitsPage, readLimits, limitsTypedFrom, typedOfLimits } from './limits-form.js';

/** The limits of sending as a form; the same settings as `PUT /api/v1/sending`. */
@Controller('admin/sending/limits')
export class LimitsPageController {
  constructor(private readonly settings: SendingSettingsService) {}

  @Get()
  async show(): Promise<Answer> {
    return new Page('limits', limitsPage(typedOfLimits(await this.settings.read()), {}));
  }

  @Post()
  async save(@Body() body: unknown): Promise<Answer> {
    const typed = limitsTypedFrom(body);
    const read = readLimits(typed, await this.settings.read());
    if ('errors' in read) return new Page('limits', limitsPage(typed, read.errors), 422);
    await this.settings.replace(read);
    return new SeeOther('/admin/sending#limits');
  }
}
