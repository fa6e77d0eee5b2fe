import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BroadcastMailsQueries } from '../delivery/planning/broadcast-mails.queries.js';
import { GenerationGuard } from '../delivery/generation/generation-guard.service.js';
import {
  resendableOfBroadcast,
  unknownOfBroadcasts,
  type UnknownOfBroadcast,
} from '../delivery/ledger/unknown-mails.queries.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { nextState, type BroadcastState } from './broadcast-status.js';
import { endOf } from './split.js';
import { BroadcastsQueries } from './broadcasts.queries.js';

/** The barrier lets mails of these go; one that is done opens again. */
const SENDS: ReadonlySet<BroadcastState> = new Set(['planning', 'running', 'done']);

/**
 * Mails of a broadcast of which nobody knows whether the relay took them. Only the owner can weigh a mail that comes
 * twice against one that never comes, so only their word sends them once more.
 */
@Injectable()
export class BroadcastUnknowns {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly mails: BroadcastMailsQueries,
    private readonly guard: GenerationGuard,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Every broadcast that has such mails, the oldest first. */
  async all(): Promise<UnknownOfBroadcast[]> {
    return unknownOfBroadcasts(this.dataSource.manager, this.clock.now());
  }

  /** How many `resend` would send. */
  async resendable(id: string): Promise<number> {
    return resendableOfBroadcast(this.dataSource.manager, id, this.clock.now());
  }

  /**
   * One more try for each, under the same Message-ID, by which many mail systems drop a second copy; who has left
   * meanwhile gets none. Returns how many; at a second press there are none left. Throws `BROADCAST_NOT_FOUND`, and
   * `BROADCAST_STATE_CONFLICT` while the broadcast, its end or a restored backup holds its mails back.
   */
  async resend(id: string): Promise<number> {
    const standing = await this.guard.state();
    return this.dataSource.transaction(async (manager) => {
      const broadcast = await this.queries.lock(manager, id);
      if (broadcast === null) throw notFound('broadcast', id);
      const { state } = broadcast;
      const end = endOf(broadcast);
      const now = this.clock.now();
      const refuse = (message: string): never => {
        throw new DomainError('BROADCAST_STATE_CONFLICT', message, { id, state });
      };
      if (!standing.ok) refuse(`nothing is sent from this database: ${standing.reason}`);
      if (!SENDS.has(state))
        refuse(
          `nothing of a broadcast that is ${state} is sent${state === 'paused' ? ': let it go on first' : ''}`,
        );
      if (end !== null && end <= now) refuse('its mails were of use until its end, which is past');
      const count = await this.mails.resendUnknown(manager, id, now);
      const again = nextState(broadcast, 'reopen');
      if (count > 0 && again !== null)
        await this.queries.setState(manager, id, { state: again, reason: null, now });
      return count;
    });
  }
}
