import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Registry } from 'prom-client';
import type { HitBatch } from './hit-batch.js';

/** What the process that serves requests knows of opens and clicks. */
@Injectable()
export class HitMetrics {
  readonly #stored: Counter<'kind'>;
  readonly #dropped: Counter<'reason'>;
  #now: () => { queued: number; spooledBytes: number } = () => ({ queued: 0, spooledBytes: 0 });

  constructor(registry: Registry) {
    const registers = [registry];
    this.#stored = new Counter({
      name: 'wellspring_hits_stored_total',
      help: 'Opens and clicks handed to the database',
      labelNames: ['kind'],
      registers,
    });
    this.#dropped = new Counter({
      name: 'wellspring_hits_dropped_total',
      help: 'Opens and clicks that were answered but could not be kept',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of ['queue_full', 'spool_full', 'spool_failed', 'refused'])
      this.#dropped.inc({ reason }, 0);
    const now = (): { queued: number; spooledBytes: number } => this.#now();
    new Gauge({
      name: 'wellspring_hits_queued',
      help: 'Opens and clicks in memory, to be stored within milliseconds',
      registers,
      collect() {
        this.set(now().queued);
      },
    });
    new Gauge({
      name: 'wellspring_hits_spooled_bytes',
      help: 'Bytes of opens and clicks on disk: in a rush, and while the database is away',
      registers,
      collect() {
        this.set(now().spooledBytes);
      },
    });
  }

  watch(now: () => { queued: number; spooledBytes: number }): void {
    this.#now = now;
  }

  stored({ sources, hits }: Pick<HitBatch, 'sources' | 'hits'>): void {
    const clicks = hits.filter(({ source }) => sources[source]?.kind === 'click').length;
    this.#stored.inc({ kind: 'click' }, clicks);
    this.#stored.inc({ kind: 'open' }, hits.length - clicks);
  }

  /** `queue_full`, `spool_full`, `spool_failed` or `refused`. */
  dropped(reason: string, count: number): void {
    this.#dropped.inc({ reason }, count);
  }
}
