import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import {
  broadcastHealth,
  isOfReports,
  type HealthVerdict,
  type ProviderTally,
  type RefusedTally,
} from './sending-health.js';
import {
  pauseBroadcast,
  REPORTS_ALERT,
  SAMPLE,
  sayOfPause,
  standOfBroadcast,
  tallyBroadcast,
} from './broadcast-pause.queries.js';

const TODO =
  'The rest of its mails wait. See under Bounces and complaints what came back, then go on with it or cancel it.';

const LOOK_EVERY = 10;
/** A look at a big broadcast is followed by a rest: it must not take more than a sixth of the time. */
const LONG_LOOK_MS = 1_000;
const REST_PER_LOOK = 5;
/** Longer than a lane needs to come to the end of what is claimed. */
const CLAIMED_MS = 2_000;

/** Stops a broadcast that does harm: dead addresses, complaints, a sender nobody wants mail from. */
@Injectable()
export class BroadcastGuard {
  readonly #logger = new Logger(BroadcastGuard.name);
  /** Refusals per broadcast since the last look of this process. */
  readonly #refused = new Map<string, number>();
  readonly #stopped = new Map<string, number>();
  readonly #looksAt = new Set<string>();
  readonly #restsUntilMs = new Map<string, number>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * For the sender, at each refusal for good: looks at the broadcast at every tenth, which keeps the look cheap and the
   * harm below 200 mails, and at once when it is about us: each further try does harm. A look that fails is left to the
   * next one.
   */
  async refused(id: string, { blamesSender = false } = {}): Promise<void> {
    const count = blamesSender ? LOOK_EVERY : (this.#refused.get(id) ?? 0) + 1;
    this.#refused.set(id, count);
    // One look at a time, however many lanes have theirs refused at this moment.
    if (count < LOOK_EVERY || this.#looksAt.has(id) || this.rests(id)) return;
    this.#refused.set(id, 0);
    this.#looksAt.add(id);
    try {
      await this.reported(this.dataSource.manager, id);
    } catch (error) {
      this.#logger.warn(
        `broadcast ${id} could not be looked at: ${error instanceof Error ? error.message : ''}`,
      );
    } finally {
      this.#looksAt.delete(id);
    }
  }

  /**
   * For what has come back of a mail, in the transaction that writes it down. What comes while this process rests behind a
   * long look is looked at with the next, or by the watch over all that was reported.
   */
  async reported(manager: EntityManager, id: string): Promise<void> {
    if (this.rests(id)) return;
    const startedMs = performance.now();
    try {
      await this.check(manager, id);
    } finally {
      const endedMs = performance.now();
      const tookMs = endedMs - startedMs;
      if (tookMs >= LONG_LOOK_MS) this.#restsUntilMs.set(id, endedMs + REST_PER_LOOK * tookMs);
    }
  }

  private rests(id: string): boolean {
    return performance.now() < (this.#restsUntilMs.get(id) ?? 0);
  }

  /**
   * True for a moment after this process has paused it: what was claimed before is not to be tried. What is claimed
   * afterwards knows by itself.
   */
  stopped(id: string | null): boolean {
    if (id === null) return false;
    const at = this.#stopped.get(id);
    if (at === undefined) return false;
    if (performance.now() - at < CLAIMED_MS) return true;
    this.#stopped.delete(id);
    return false;
  }

  /**
   * True when the broadcast was paused just now. A sample tells that all is well; what is not is counted over every mail
   * before anything is done about it. `sample`: null counts every mail at once.
   */
  async check(
    manager: EntityManager,
    id: string,
    { sample = SAMPLE }: { sample?: number | null } = {},
  ): Promise<boolean> {
    return this.apply(manager, id, await this.health(manager, id, sample));
  }

  /** As `check`, over every mail at once. */
  async checkAll(id: string): Promise<boolean> {
    return this.check(this.dataSource.manager, id, { sample: null });
  }

  /** Pauses one for what it did together with others at a provider, and tells the owner. True when it was not paused before. */
  async stop(id: string, { reason, tally }: { reason: string; tally: ProviderTally }): Promise<boolean> {
    return this.apply(
      this.dataSource.manager,
      id,
      { action: 'pause', reason, tally },
      { provider: tally.group },
    );
  }

  private async apply(
    manager: EntityManager,
    id: string,
    { action, reason, tally }: HealthVerdict & { tally: object },
    { provider = null }: { provider?: string | null } = {},
  ): Promise<boolean> {
    if (action === 'none' || reason === null) return false;
    const now = this.clock.now();
    const paused = action === 'pause' && (await pauseBroadcast(manager, id, { reason, now, provider }));
    if (paused) this.#stopped.set(id, performance.now());
    // What was under way ends after the pause and is counted anew: the owner still has to read that it is paused.
    const { title, state, reason: was } = await standOfBroadcast(manager, id);
    // The owner has given their word.
    if (state === 'cancelled') return false;
    const isPaused = state === 'paused';
    // It stands still for something graver, which they still have to read.
    if (isPaused && action === 'warn') return false;
    // Else the broadcast's page goes on with the first count, and the alert tells another.
    if (isPaused && was !== null && was !== reason && isOfReports(was))
      await sayOfPause(manager, id, { was, reason });
    await this.alerts.raise(
      {
        key: REPORTS_ALERT + id,
        severity: action === 'pause' ? 'critical' : 'warning',
        message: `The broadcast "${title}"${isPaused ? ` is paused: ${reason}. ${TODO}` : `: ${reason}`}`,
        facts: { broadcastId: id, isPaused, ...tally },
      },
      manager,
    );
    return paused;
  }

  private async health(
    manager: EntityManager,
    id: string,
    sample: number | null,
  ): Promise<HealthVerdict & { tally: RefusedTally }> {
    const { counted, ...tally } = await tallyBroadcast(manager, id, sample);
    const verdict = broadcastHealth(tally);
    if (verdict.action === 'none' || sample === null || counted < sample) return { ...verdict, tally };
    return this.health(manager, id, null);
  }
}
