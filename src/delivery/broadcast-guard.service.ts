import { Injectable, Logger } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { broadcastHealth } from './broadcast-health.js';
import { pauseBroadcast, tallyBroadcast } from './broadcast-pause.queries.js';

const LOOK_EVERY = 10;
/** Longer than a lane needs to come to the end of what is claimed. */
const CLAIMED_MS = 2_000;

/** Stops a broadcast that does harm: dead addresses, complaints, a sender nobody wants mail from. */
@Injectable()
export class BroadcastGuard {
  readonly #logger = new Logger(BroadcastGuard.name);
  /** Refusals per broadcast since the last look of this process. */
  readonly #refused = new Map<string, number>();
  readonly #stopped = new Map<string, number>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
  ) {}

  /**
   * For the sender, at each refusal for good: looks at the broadcast at every tenth, which keeps the look cheap and the
   * harm below 200 mails. A look that fails is left to the next one.
   */
  async refused(id: string): Promise<void> {
    const count = ((this.#refused.get(id) ?? 0) + 1) % LOOK_EVERY;
    this.#refused.set(id, count);
    if (count !== 0) return;
    try {
      await this.check(this.dataSource.manager, id);
    } catch (error) {
      this.#logger.warn(
        `broadcast ${id} could not be looked at: ${error instanceof Error ? error.message : ''}`,
      );
    }
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

  /** True when the broadcast was paused just now. `exact` counts every mail; without it a sample decides. */
  async check(manager: EntityManager, id: string, options: { exact?: boolean } = {}): Promise<boolean> {
    const tally = await tallyBroadcast(manager, id, options);
    const { action, reason } = broadcastHealth(tally);
    if (action === 'none' || reason === null) return false;
    const paused = action === 'pause' && (await pauseBroadcast(manager, id, reason));
    if (paused) this.#stopped.set(id, performance.now());
    await this.alerts.raise(
      {
        key: `bounces:broadcast:${id}`,
        severity: action === 'pause' ? 'critical' : 'warning',
        message: paused ? `Broadcast ${id} was paused: ${reason}` : `Broadcast ${id}: ${reason}`,
        facts: { broadcastId: id, ...tally },
      },
      manager,
    );
    return paused;
  }
}
