import { Body, Controller, Get, Post } from '@nestjs/common';
import { GenerationGuard } from '../../delivery/generation/generation-guard.service.js';
import { HeldService } from '../../delivery/waiting/held.service.js';
import { LONGEST_WAIT_DAYS } from '../../delivery/waiting/longest-wait.js';
import { SendingService } from '../../delivery/pacing/sending.service.js';
import { SequenceUnknowns } from '../../delivery/waiting/sequence-unknowns.service.js';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { KeptSignups } from '../../signup/kept-signups.service.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import {
  confirmForm,
  heldMailsForm,
  sequenceForm,
  type ConfirmForm,
  type HeldMailsForm,
  type SequenceForm,
} from './decisions.schemas.js';
import { limitName } from '../../delivery/pacing/limit-name.js';
import { paceWords, sendingPage, stopWords } from './sending-view.js';

/** How sending stands, and the decisions that only the owner can take. */
@Controller('admin/sending')
export class SendingPageController {
  constructor(
    private readonly sending: SendingService,
    private readonly guard: GenerationGuard,
    private readonly held: HeldService,
    private readonly alerts: AlertsService,
    private readonly signups: KeptSignups,
    private readonly unknowns: SequenceUnknowns,
  ) {}

  @Get()
  async page(): Promise<Answer> {
    return this.asItStands();
  }

  private async asItStands(unknownError: string | null = null): Promise<Answer> {
    const [state, estimate, alerts, mailboxUntil, keptSignups] = await Promise.all([
      this.sending.state(),
      this.sending.estimate(null),
      this.alerts.open(),
      this.guard.waitsForMailbox(),
      // Of a folder that cannot be read its own alerts tell.
      this.signups.waiting().catch(() => 0),
    ]);
    const sending = {
      maySend: state.maySend,
      takesWrites: state.takesWrites,
      reason: state.reason,
      mailboxUntil: state.maySend ? mailboxUntil : null,
      unknown: state.unknown,
      unknownOfSequences: state.unknownOfSequences,
      unknownError,
      longestWaitDays: LONGEST_WAIT_DAYS,
      silentKeepers: state.silentKeepers,
      listsWait: state.silentKeepers.some(({ until }) => until !== null),
      pausedSequences: state.pausedSequences,
      pausedBroadcasts: state.pausedBroadcasts,
      alerts,
      keptSignups,
      ...sendingPage(state),
      estimate: {
        ...estimate,
        pace: paceWords(estimate.perSecond),
        stop: stopWords(estimate.limitedBy, { relays: state.relays }),
        limitedBy: estimate.limitedBy === null ? null : limitName(estimate.limitedBy),
      },
    };
    return new Page('sending', sending, unknownError === null ? 200 : 422);
  }

  @Post('confirm')
  async confirm(@Body({ schema: confirmForm }) { unsent }: ConfirmForm): Promise<Answer> {
    await this.guard.confirm(unsent);
    return new SeeOther('/admin/sending');
  }

  @Post('unknown')
  async resendUnknown(@Body({ schema: sequenceForm }) { funnel }: SequenceForm): Promise<Answer> {
    try {
      await this.unknowns.resend(funnel);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'SEQUENCE_STATE_CONFLICT') throw error;
      return this.asItStands(error.message);
    }
    return new SeeOther('/admin/sending');
  }

  @Post('held')
  async decideHeld(@Body({ schema: heldMailsForm }) { reason, decision }: HeldMailsForm): Promise<Answer> {
    await (decision === 'release' ? this.held.release({ reason }) : this.held.cancel({ reason }));
    return new SeeOther('/admin/sending');
  }
}
