import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MailDomainsService } from '../delivery/pacing/mail-domains.service.js';
import type { PreflightFinding } from '../delivery/preflight/mail-checks.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { BroadcastPreflight, inWords } from './broadcast-preflight.service.js';
import { nextState } from './broadcast-status.js';
import { SENDER_FAULT_ALERT, UNTRIED_ALERT, VALUES_ALERT } from './broadcast-upkeep.service.js';
import type { Broadcast } from './broadcast.js';
import { BroadcastsQueries } from './broadcasts.queries.js';

const LONGEST_MS = 10_000;
/** More than are found in that time. */
const MOST_DOMAINS = 20_000;
/** A run that plans broadcasts is told to stop after two minutes more. */
const LONGEST_TRIAL_MS = 600_000;
const TRYING = 'what its readers have is tried in its mail; it begins when that is done';
const MENDED = 'Go on with it on the page Broadcasts when that is mended.';
const WITHOUT_THEM =
  'Put that right, and go on with it on the page Broadcasts; who has such a value still then gets no mail of it, or one without that link; one whose reader could not see how to unsubscribe, or where you are, is held on the page Sending.';

interface Bounds {
  /** On the clock of `performance.now`. */
  untilMs: number;
  signal: AbortSignal;
}

/**
 * A broadcast may be started for next week: what its mails need of the DNS and of their readers is looked at again before
 * the first one.
 */
@Injectable()
export class BroadcastLastLook {
  readonly #logger = new Logger(BroadcastLastLook.name);
  /** Settled when the trials that came before are through. */
  #trials: Promise<unknown> = Promise.resolve();

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
   * they are planned, as each goes by the queue of its receiver. What is not found by then is found while it goes.
   */
  async lookUpAudience(id: string): Promise<void> {
    if (!this.domains.asks) return;
    try {
      const signal = AbortSignal.timeout(LONGEST_MS);
      const broadcast = await this.queries.find(id);
      const unknown = broadcast === null ? [] : await this.queries.unknownDomains(broadcast, MOST_DOMAINS);
      await this.domains.resolve(unknown, { signal });
    } catch (error) {
      this.tell(`the domains of broadcast ${id} were not looked up`, error);
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
      if (broadcast === null || (await this.alerts.wasRaised(SENDER_FAULT_ALERT + id))) return;
      const fault = await this.preflight.senderFault(broadcast);
      if (fault !== null) await this.pause(broadcast, fault, { alert: SENDER_FAULT_ALERT, todo: MENDED });
    } catch (error) {
      this.tell(`the sender of broadcast ${id} was not looked up`, error);
    }
  }

  /**
   * Pauses one whose mail, as it was frozen, breaks on what one of its readers has, and names the line; an import since its
   * start may have brought it. Takes seconds for a million readers, minutes where each value must be tried, but no longer than
   * `forMs`: of what is left the owner is told, and the broadcast begins. One at a time in a process: each holds a connection
   * of the pool, which sending needs, too. Safe to run twice at once.
   */
  async tryValues(id: string, signal: AbortSignal, forMs = LONGEST_TRIAL_MS): Promise<void> {
    const bounds = { untilMs: performance.now() + forMs, signal };
    try {
      // Their word counts here, too: readers whose mail cannot be made get none.
      if (await this.alerts.wasRaised(VALUES_ALERT + id)) return;
      const tried = await this.tried(id, bounds);
      if (tried === null || signal.aborted) return;
      const { broadcast, found } = tried;
      const fault = found.find(({ level }) => level === 'fail');
      if (fault) await this.pause(broadcast, inWords(fault), { alert: VALUES_ALERT, todo: WITHOUT_THEM });
      else if (found.length > 0) await this.tellUntried(broadcast, found);
    } catch (error) {
      this.tell(`the mail of broadcast ${id} was not tried with what its readers have`, error);
    }
  }

  /**
   * The owner reads meanwhile what it waits for. Whoever is told to stop leaves the rest, and that, to the next worker. Null
   * when it is not to begin any more.
   */
  private async tried(
    id: string,
    bounds: Bounds,
  ): Promise<{ broadcast: Broadcast; found: PreflightFinding[] } | null> {
    await this.queries.sayOfScheduled(id, TRYING);
    try {
      return await this.inTurn(bounds, async () => {
        const broadcast = await this.queries.find(id);
        if (broadcast?.state !== 'scheduled') return null;
        return { broadcast, found: await this.preflight.valueFaults(broadcast, bounds) };
      });
    } finally {
      if (!bounds.signal.aborted) await this.queries.sayOfScheduled(id, null);
    }
  }

  private async inTurn<T>(bounds: Bounds, work: () => Promise<T>): Promise<T> {
    const before = this.#trials;
    const mine = atMost(before, bounds).then(work);
    // With no result: each would hold the one before, for as long as the process lives.
    this.#trials = Promise.allSettled([before, mine]).then(() => undefined);
    return mine;
  }

  private async tellUntried({ id, title }: Broadcast, found: readonly PreflightFinding[]): Promise<void> {
    const message = `The broadcast "${title}" has begun, and not all that its readers have was tried in its mail before: ${found.map(inWords).join('; ')}.`;
    await this.alerts.raise({
      ...{ key: UNTRIED_ALERT + id, severity: 'warning', message, facts: { broadcastId: id } },
    });
  }

  private async pause(
    { id, title }: Broadcast,
    fault: string,
    { alert, todo }: { alert: string; todo: string },
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const broadcast = await this.queries.lock(manager, id);
      if (broadcast?.state !== 'scheduled' || nextState(broadcast, 'pause') === null) return;
      await this.queries.setState(manager, id, { state: 'paused', reason: fault, now: this.clock.now() });
      const message = `The broadcast "${title}" has not begun: ${fault}. ${todo}`;
      await this.alerts.raise(
        { key: alert + id, severity: 'critical', message, facts: { broadcastId: id } },
        manager,
      );
    });
  }

  private tell(what: string, error: unknown): void {
    this.#logger.error(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Waits for `others` only as long as its own bounds allow: the work after it then finds that they are passed. */
async function atMost(others: Promise<unknown>, { untilMs, signal }: Bounds): Promise<void> {
  const over = new AbortController();
  const options = { signal: AbortSignal.any([signal, over.signal]), ref: false };
  const bound = sleep(Math.max(0, untilMs - performance.now()), undefined, options);
  await Promise.race([others, bound.catch(() => undefined)]);
  over.abort();
}
