import { Body, Controller, Post } from '@nestjs/common';
import { SequencePauses } from '../../delivery/waiting/sequence-pauses.service.js';
import { type Answer, SeeOther } from '../answers/answer.js';
import { sequenceForm, type SequenceForm } from './decisions.schemas.js';

/** The owner's word that a paused sequence goes on. */
@Controller('admin/sending/sequences')
export class SequencePausesPageController {
  constructor(private readonly pauses: SequencePauses) {}

  @Post()
  async resume(@Body({ schema: sequenceForm }) { funnel }: SequenceForm): Promise<Answer> {
    await this.pauses.resume(funnel);
    return new SeeOther('/admin/sending');
  }
}
