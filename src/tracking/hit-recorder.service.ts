import { randomUUID } from 'node:crypto';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { JobRunner } from '../infra/jobs/job-runner.js';
import { SETTLE_MS } from './burst.js';
import type { HitBatch, HitSource, RequestFacts } from './hit-batch.js';
import { HitMetrics } from './hit-metrics.service.js';
import { HitSources } from './hit-sources.js';
import { HitSpool } from './hit-spool.service.js';
import { HitStore } from './hit-store.service.js';
import { SETTLE_CLICKS } from './verdicts.service.js';

/** A reader's click is with the sequences this much later, and a thousand of them cost as much as one. */
const FLUSH_MS = 40;
const STORE_HITS = 1_000;
const SPOOL_HITS = 5_000;
/** Above this the database does not keep up: the rest goes to disk, to be stored in a quieter moment. */
const SPILL_HITS = 20_000;
/** Some 20 MB. Hits above this are dropped, and counted. */
const MOST_HITS = 50_000;
const TICK_MS = 1_000;
/** PostgreSQL writes a commit that nobody waits for to disk within three of its 200 ms rounds. */
const SAFE_AFTER_MS = 1_500;
const MOST_RETAINED_HITS = 60_000;
const SETTLE_TOGETHER_MS = 500;

interface QueuedHit {
  source: HitSource;
  messageId: string;
  linkId: string | null;
  atMs: number;
}

/**
 * Takes hits without making anybody wait, and sees to it that each is stored once: from memory in batches, over a file
 * while the database is away, again when a crash of the database has undone the last moment. What a crash of this very
 * process may cost are the hits of the last `FLUSH_MS`.
 */
@Injectable()
export class HitRecorder implements BeforeApplicationShutdown, OnApplicationShutdown {
  readonly #log = new Logger('Tracking');
  readonly #queue: QueuedHit[] = [];
  /** Stored, not yet certain to be on PostgreSQL's disk. */
  #retained: { batch: HitBatch; storedMs: number }[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #ticking: NodeJS.Timeout | undefined;
  readonly #settling = new Set<NodeJS.Timeout>();
  #settleArmedMs = -Infinity;
  #away = false;
  readonly #sources: HitSources;

  constructor(
    private readonly store: HitStore,
    private readonly spool: HitSpool,
    private readonly metrics: HitMetrics,
    private readonly runner: JobRunner,
    @Inject(CONFIG) { secretKey, mailboxOn }: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#sources = new HitSources(secretKey, mailboxOn);
    metrics.watch(() => ({ queued: this.#queue.length, spooledBytes: this.spool.bytes }));
  }

  /** Takes up what an earlier run has left on disk. Called once, by a process that serves requests. */
  async start(): Promise<void> {
    await this.spool.look().catch((error: unknown) => this.#complain('The spool cannot be read', error));
    this.#ticking = setInterval(() => void this.tick(), TICK_MS);
    this.#ticking.unref();
    if (this.spool.files > 0) void this.flush();
  }

  /** Costs some microseconds, and neither waits nor throws. */
  push(
    hit: { kind: 'open' | 'click'; messageId: string; linkId: string | null },
    request: Pick<RequestFacts, 'ip' | 'method' | 'headers'>,
  ): void {
    if (this.#queue.length >= MOST_HITS) {
      this.metrics.dropped('queue_full', 1);
      return;
    }
    const { kind, messageId, linkId } = hit;
    const atMs = this.clock.now().getTime();
    this.#queue.push({ source: this.#sources.of(kind, request, atMs), messageId, linkId, atMs });
    this.#timer ??= setTimeout(() => void this.flush(), this.#away ? TICK_MS : FLUSH_MS);
  }

  /** Resolves when all that was pushed before is stored or on disk; never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#flushing
      .then(async () => this.empty())
      .catch((error: unknown) => this.#complain('Hits wait in memory', error));
    return this.#flushing;
  }

  /** Every second: stores what was spooled, and makes sure of what was stored. Tests call it themselves. */
  async tick(): Promise<void> {
    if (this.spool.files > 0 || this.#away) await this.flush();
    await this.makeSure();
  }

  /** While requests may still come in. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.#ticking);
    await this.flush();
  }

  /** No request comes any more; the database may be gone by now, then the rest goes to disk. */
  async onApplicationShutdown(): Promise<void> {
    for (const timer of this.#settling) clearTimeout(timer);
    if (this.#queue.length > 0) await this.flush();
    clearTimeout(this.#timer);
  }

  private async empty(): Promise<void> {
    let reachable = true;
    while (this.#queue.length > 0) {
      const crowded = this.#queue.length > SPILL_HITS;
      const batch = this.cutBatch(this.#away || crowded ? SPOOL_HITS : STORE_HITS);
      if (reachable && !crowded && (await this.tryToStore(batch))) continue;
      reachable = !this.#away;
      await this.toDisk([batch]);
    }
    while (reachable && this.spool.files > 0 && this.#queue.length === 0) {
      const batch = await this.spool.oldest();
      if (batch === null || !(await this.tryToStore(batch))) return;
      await this.spool.removeOldest();
    }
  }

  /** False when the batch is still to be stored. One that holds a row PostgreSQL refuses is stored but for that row. */
  private async tryToStore(batch: HitBatch): Promise<boolean> {
    const stored = await this.store.store(batch);
    if (stored.outcome === 'away') {
      if (!this.#away) this.#log.warn('The database is away: opens and clicks are kept on disk');
      this.#away = true;
      return false;
    }
    if (this.#away)
      this.#log.warn('The database is back: opens and clicks that were kept on disk are stored');
    this.#away = false;
    if (stored.outcome === 'refused') return this.storeHalves(batch, stored.reason);
    this.metrics.stored(batch);
    this.retain(batch);
    if (stored.waiting) this.settleSoon();
    return true;
  }

  private async storeHalves({ sources, hits }: HitBatch, reason: string): Promise<boolean> {
    if (hits.length <= 1) {
      this.metrics.dropped('refused', hits.length);
      this.#log.error(`A hit cannot be stored: PostgreSQL answers ${reason}`);
      return true;
    }
    const middle = hits.length >> 1;
    for (const part of [hits.slice(0, middle), hits.slice(middle)]) {
      const half = { id: randomUUID(), sources, hits: part };
      if (!(await this.tryToStore(half))) await this.toDisk([half]);
    }
    return true;
  }

  /**
   * With the database away, what waits to be certain goes along: PostgreSQL may have lost it, and knows the batch if it
   * has not.
   */
  private async toDisk(batches: HitBatch[]): Promise<void> {
    const uncertain = this.#away ? this.#retained.splice(0).map(({ batch }) => batch) : [];
    for (const batch of [...uncertain, ...batches]) {
      try {
        if (await this.spool.put(batch)) continue;
        this.metrics.dropped('spool_full', batch.hits.length);
      } catch (error) {
        this.metrics.dropped('spool_failed', batch.hits.length);
        this.#complain('The spool cannot be written', error);
      }
    }
  }

  private retain(batch: HitBatch): void {
    this.#retained.push({ batch, storedMs: performance.now() });
    let hits = this.#retained.reduce((sum, { batch: { hits: each } }) => sum + each.length, 0);
    while (hits > MOST_RETAINED_HITS) hits -= this.#retained.shift()?.batch.hits.length ?? hits;
  }

  /** What PostgreSQL still knows after this time is on its disk; what it does not know was lost in a crash. */
  private async makeSure(): Promise<void> {
    const old = this.#retained.filter(({ storedMs }) => performance.now() - storedMs >= SAFE_AFTER_MS);
    if (old.length === 0) return;
    const missing = await this.store.missing(old.map(({ batch }) => batch.id));
    if (missing === null) {
      this.#away = true;
      return this.toDisk([]);
    }
    this.#retained = this.#retained.filter((each) => !old.includes(each));
    const lost = old.flatMap(({ batch }) => (missing.has(batch.id) ? [batch] : []));
    for (const batch of lost) if (!(await this.tryToStore(batch))) await this.toDisk([batch]);
  }

  /** The job does it too, with its tick; this saves the wait for that. One timer stands for the clicks of a while. */
  private settleSoon(): void {
    const nowMs = performance.now();
    if (nowMs - this.#settleArmedMs < SETTLE_TOGETHER_MS) return;
    this.#settleArmedMs = nowMs;
    const timer = setTimeout(() => {
      this.#settling.delete(timer);
      void this.runner.run(SETTLE_CLICKS);
    }, SETTLE_MS + SETTLE_TOGETHER_MS);
    timer.unref();
    this.#settling.add(timer);
  }

  private cutBatch(most: number): HitBatch {
    const places = new Map<HitSource, number>();
    const hits = this.#queue.splice(0, most).map(({ source, messageId, linkId, atMs }) => {
      let place = places.get(source);
      if (place === undefined) places.set(source, (place = places.size));
      return { source: place, messageId, linkId, atMs };
    });
    return { id: randomUUID(), sources: [...places.keys()], hits };
  }

  #complain(what: string, error: unknown): void {
    this.#log.error(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
