import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { broadcastHealth } from './broadcast-health.js';
import { pauseBroadcast, tallyBroadcast } from './broadcast-pause.queries.js';

/** Stops a broadcast that does harm: dead addresses, complaints, a sender nobody wants mail from. */
@Injectable()
export class BroadcastGuard {
  /** Refusals per broadcast since the last look of this process. */
  readonly #refused = new Map<string, number>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
  ) {}

  /**
   * For the sender, after refusals were settled: looks at a broadcast at every tenth of them, which keeps the look cheap
   * and the harm below 200 mails. `ids` has one entry a refusal.
   */
  async refused(ids: readonly string[]): Promise<void> {
    const due = new Set<string>();
    for (const id of ids) {
      const count = (this.#refused.get(id) ?? 0) + 1;
      this.#refused.set(id, count % LOOK_EVERY);
      if (count === LOOK_EVERY) due.add(id);
    }
    for (const id of due) await this.check(this.dataSource.manager, id);
  }

  /** True when the broadcast was paused just now. `exact` counts every mail; without it a sample decides. */
  async check(manager: EntityManager, id: string, options: { exact?: boolean } = {}): Promise<boolean> {
    const tally = await tallyBroadcast(manager, id, options);
    const { action, reason } = broadcastHealth(tally);
    if (action === 'none' || reason === null) return false;
    const paused = action === 'pause' && (await pauseBroadcast(manager, id, reason));
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

const LOOK_EVERY = 10;
