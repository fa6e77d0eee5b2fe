import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Wake } from '../../infra/jobs/wake.js';
import { DomainError } from '../../values/domain-error.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import { SEND_DUE } from '../ledger/send-due.js';
import {
  resendOfSequence,
  unknownOfSequences,
  type UnknownOfSequence,
} from '../ledger/unknown-mails.queries.js';
import { SequencePauses } from './sequence-pauses.service.js';

/**
 * Mails of sequences of which nobody knows whether the relay took them. As with those of broadcasts, only the owner's word
 * sends them once more.
 */
@Injectable()
export class SequenceUnknowns {
  constructor(
    private readonly dataSource: DataSource,
    private readonly pauses: SequencePauses,
    private readonly guard: GenerationGuard,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Every funnel whose sequences have such mails. */
  async all(): Promise<UnknownOfSequence[]> {
    return unknownOfSequences(this.dataSource.manager, this.clock.now());
  }

  /**
   * One more try for each that is still right for its reader, under the same Message-ID. Returns how many; at a second press
   * there are none left. Throws `FUNNEL_NOT_FOUND`, and `SEQUENCE_STATE_CONFLICT` while the sequence is paused or a restored
   * backup holds all mails back.
   */
  async resend(funnelKey: string): Promise<number> {
    await this.pauses.requireFunnel(funnelKey);
    const refuse = (message: string): never => {
      throw new DomainError('SEQUENCE_STATE_CONFLICT', message, { funnelKey });
    };
    const standing = await this.guard.state();
    if (!standing.ok) refuse(`nothing is sent from this database: ${standing.reason}`);
    if ((await this.pauses.all()).some((pause) => pause.funnelKey === funnelKey))
      refuse('its mails are paused: let them go on first');
    return this.dataSource.transaction(async (manager) => {
      const count = await resendOfSequence(manager, funnelKey, this.clock.now());
      if (count > 0) await this.wake.notify(manager, SEND_DUE);
      return count;
    });
  }
}
