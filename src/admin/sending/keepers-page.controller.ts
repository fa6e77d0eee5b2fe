import { Controller, Post } from '@nestjs/common';
import { Keepers } from '../../subscribers/keepers.service.js';
import { type Answer, SeeOther } from '../answers/answer.js';

/** The owner's word that processes which say nothing any more are gone for good. */
@Controller('admin/sending/silent-keepers')
export class KeepersPageController {
  constructor(private readonly keepers: Keepers) {}

  @Post('forget')
  async forget(): Promise<Answer> {
    await this.keepers.forgetSilent();
    return new SeeOther('/admin/sending');
  }
}
