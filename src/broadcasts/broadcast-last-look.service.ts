import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MailDomainsService } from '../delivery/pacing/mail-domains.service.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { BroadcastPreflight } from './broadcast-preflight.service.js';
import { nextState } from './broadcast-status.js';
import { SENDER_ALERT } from './broadcast-upkeep.service.js';
import { BroadcastsQueries } from './broadcasts.queries.js';

const LONGEST_MS = 10_000;
/** More than are found in that time. */
const MOST_DOMAINS = 20_000;

/** A broadcast may be started for next week: what its mails need of the DNS is looked at again before the first one. */
@Injectable()
export class BroadcastLastLook {
  readonly #logger = new Logger(BroadcastLastLook.name);

  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly preflight: BroadcastPreflight,
    private readonly domains: MailDomainsService,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Those that are about to begin. */
  async due(): Promise<string[]> {
    const unfinished = await this.queries.unfinished(this.clock.now());
    return unfinished.flatMap(({ id, state }) => (state === 'scheduled' ? [id] : []));
  }

  /**
   * Finds out whose servers take the mails of its audience, as far as that goes in the time that the DNS is given: before
   * they are planned, as each goes by the lane of its receiver. What is not found by then is found while it goes.
   */
  async lookUpAudience(id: string): Promise<void> {
    if (!this.domains.asks) return;
    try {
      const signal = AbortSignal.timeout(LONGEST_MS);
      const broadcast = await this.queries.find(id);
      const unknown = broadcast === null ? [] : await this.queries.unknownDomains(broadcast, MOST_DOMAINS);
      await this.domains.resolve(unknown, { signal });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.error(`the domains of broadcast ${id} were not looked up: ${reason}`);
    }
  }

  /**
   * Pauses one whose mails every receiver would see a broken signature on, and tells the owner, whose word lets it go on.
   * Within the ten seconds that the DNS is given; what cannot be looked at stops nothing, as a DNS that gives no answer.
   * Safe to run twice at once.
   */
  async look(id: string): Promise<void> {
    try {
      const broadcast = await this.queries.find(id);
      // Who was told, and let it go on, has given their word: their relay may sign, or our DNS see another world.
      if (broadcast === null || (await this.alerts.wasRaised(SENDER_ALERT + id))) return;
      const fault = await this.preflight.senderFault(broadcast);
      if (fault !== null) await this.pause(id, { title: broadcast.title, fault });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.error(`the sender of broadcast ${id} was not looked up: ${reason}`);
    }
  }

  private async pause(id: string, { title, fault }: { title: string; fault: string }): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const broadcast = await this.queries.lock(manager, id);
      if (broadcast?.state !== 'scheduled' || nextState(broadcast, 'pause') === null) return;
      await this.queries.setState(manager, id, { state: 'paused', reason: fault, now: this.clock.now() });
      const message = `The broadcast "${title}" has not begun: ${fault}. Go on with it on the page Broadcasts when that is mended.`;
      await this.alerts.raise(
        { key: SENDER_ALERT + id, severity: 'critical', message, facts: { broadcastId: id } },
        manager,
      );
    });
  }
}
