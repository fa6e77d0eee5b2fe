import { createHash, randomUUID } from 'node:crypto';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { AfterWork } from './after-work.service.js';
import type { HitBatch, HitSource, RequestFacts } from './hit-batch.js';
import { HitMetrics } from './hit-metrics.service.js';
import { HitSources } from './hit-sources.js';
import { HitSpool } from './hit-spool.service.js';
import { HitStore } from './hit-store.service.js';

/** A reader's click is with the sequences this much later, and a thousand of them cost as much as one. */
const FLUSH_MS = 40;
/** All that come within `FLUSH_MS` in the greatest rush: in a file or statement each, their halves cost as much again. */
const BATCH_HITS = 2_500;
/** Some 20 MB. Hits above this, which the disk does not take in time either, are dropped, and counted. */
const MOST_HITS = 50_000;
const TICK_MS = 1_000;
/** So long after its last hit a process says each second how far it has come, and seldom from then on. */
const LATELY_MS = 15_000;
const SELDOM_TICKS = 4;
/** PostgreSQL writes a commit that nobody waits for to disk within three of its 200 ms rounds. */
const SAFE_AFTER_MS = 1_500;
/**
 * In a rush that lasts, hits are stored at once from here on, at the cost of the answers: clicks wait to be judged.
 * Until then the rests between get shorter with the time the oldest hit has been on disk, so that storing comes to the
 * pace of the rush. Begun all at once, each batch stands before answers that wait.
 */
const LONGEST_ON_DISK_MS = 30_000;
const MOST_RETAINED_HITS = 60_000;
/** What is not stored by then stays on disk for the next start. */
const CLOSE_WITHIN_MS = 5_000;

interface QueuedHit {
  source: HitSource;
  messageId: string;
  linkId: string | null;
  atMs: number;
}

/**
 * Takes hits without making anybody wait, and sees to it that each is stored once: from memory in batches, over a file
 * while the database is away or has enough to do, again when a crash of the database has undone the last moment. What a
 * crash of this very process may cost are the hits of the last `FLUSH_MS`, and of the one batch that is being stored.
 */
@Injectable()
export class HitRecorder implements BeforeApplicationShutdown, OnApplicationShutdown {
  readonly #log = new Logger('Tracking');
  #queue: QueuedHit[] = [];
  /** Taken from the queue; neither stored nor on disk. */
  readonly #underWay = new Set<HitBatch>();
  #hitsUnderWay = 0;
  /** Stored, not yet certain to be on PostgreSQL's disk. */
  #retained: { batch: HitBatch; storedMs: number }[] = [];
  /** Batches on their way to disk. */
  #writing: Promise<void> = Promise.resolve();
  /** Batches that are being stored without a file. */
  #storing: Promise<unknown> = Promise.resolve();
  #draining: Promise<void> | null = null;
  #closeAtMs = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #everySecond: NodeJS.Timeout | undefined;
  #lastTick: Promise<void> = Promise.resolve();
  #ticks = 0;
  #lastHitMs = -Infinity;
  #marking = false;
  /** Ticks since other processes were told last; infinite when what they were told may have changed since. */
  #unmarkedTicks = Infinity;
  #away = false;
  readonly #sources: HitSources;

  constructor(
    private readonly store: HitStore,
    private readonly spool: HitSpool,
    private readonly metrics: HitMetrics,
    private readonly afterWork: AfterWork,
    @Inject(CONFIG) { secretKey, mailboxOn }: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#sources = new HitSources(secretKey, mailboxOn);
    metrics.watch(() => ({ queued: this.#hitsInMemory(), spooledBytes: this.spool.bytes }));
    afterWork.watch(() => this.#unstoredSinceMs());
  }

  /** Takes up what an earlier run has left on disk. Called once, by a process that serves requests. */
  async start(): Promise<void> {
    await this.spool.look().catch((error: unknown) => this.#complain('The spool cannot be read', error));
    this.#everySecond = setInterval(() => {
      void this.mark();
      if (this.#ticks === 0) void this.tick();
    }, TICK_MS);
    this.#everySecond.unref();
    await this.mark();
    if (this.spool.files > 0) void this.flush();
  }

  /** Costs some microseconds, and neither waits nor throws. */
  push(
    hit: { kind: 'open' | 'click'; messageId: string; linkId: string | null },
    request: Pick<RequestFacts, 'ip' | 'method' | 'headers'>,
  ): void {
    if (this.#hitsInMemory() >= MOST_HITS) {
      this.metrics.dropped('queue_full', 1);
      return;
    }
    const { kind, messageId, linkId } = hit;
    const atMs = this.clock.now().getTime();
    this.#lastHitMs = atMs;
    this.#queue.push({ source: this.#sources.of(kind, request, atMs), messageId, linkId, atMs });
    this.#timer ??= setTimeout(() => void this.flush(), this.#away ? TICK_MS : FLUSH_MS);
  }

  /** Resolves when all that was pushed before is stored, or on disk and as much of that stored as can be; never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.afterWork.arrived(this.#queue.length);
    const onDiskMs = this.clock.now().getTime() - this.spool.sinceMs;
    this.afterWork.haste = this.spool.crowded ? 1 : onDiskMs / LONGEST_ON_DISK_MS;
    const older = this.#underWay.size;
    for (const [place, batch] of this.cutBatches().entries()) {
      // Nothing overtakes what came before it, be it on its way to disk.
      const first = older === 0 && place === 0 && this.spool.files === 0;
      if (first && !this.#away && this.afterWork.free)
        this.#storing = Promise.all([this.#storing, this.storeOrKeep(batch)]);
      else void this.toDisk([batch]);
    }
    await Promise.all([this.#storing, this.#writing]);
    await this.drain();
  }

  /** Every second: stores what was spooled, and makes sure of what was stored. Tests call it themselves. */
  async tick(): Promise<void> {
    this.#ticks++;
    this.#lastTick = this.#lastTick.then(async () => {
      if (this.spool.files > 0 || this.#away) await this.flush();
      await this.makeSure();
      this.#ticks--;
    });
    await this.#lastTick;
  }

  /**
   * Every second, beside a tick that may take long: another process judges a click only when all who take hits have said
   * that they have stored what came within its moment, since it may be a part of a burst of which the rest is here.
   */
  async mark(): Promise<void> {
    const now = this.clock.now().getTime();
    const isBusy = this.#unstoredSinceMs() < Infinity || now - this.#lastHitMs < LATELY_MS;
    if (this.#marking || (!isBusy && ++this.#unmarkedTicks < SELDOM_TICKS)) return;
    this.#marking = true;
    // One more may come within this millisecond.
    const sinceMs = isBusy ? Math.min(this.#unstoredSinceMs(), now - 1) : null;
    const done = await this.store.mark(this.afterWork.processId, sinceMs);
    this.#marking = false;
    this.#unmarkedTicks = isBusy || !done ? Infinity : 0;
  }

  /** While requests may still come in. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.#everySecond);
    this.#closeAtMs = performance.now() + CLOSE_WITHIN_MS;
    this.afterWork.hurry();
    await this.flush();
  }

  /** No request comes any more; the database may be gone by now, then the rest goes to disk. */
  async onApplicationShutdown(): Promise<void> {
    await this.#lastTick;
    await this.flush();
  }

  private async storeOrKeep(batch: HitBatch): Promise<void> {
    this.#takeOn(batch);
    if (await this.tryToStore(batch)) this.#letGo(batch);
    else await this.toDisk([batch]);
  }

  /** Stores what lies on disk, oldest first, until there is no more or the database is away. */
  private async drain(): Promise<void> {
    this.#draining ??= this.emptySpool()
      .catch((error: unknown) => this.#complain('The spool cannot be emptied', error))
      .finally(() => {
        this.#draining = null;
      });
    await this.#draining;
  }

  private async emptySpool(): Promise<void> {
    while (this.spool.files > 0 && performance.now() < this.#closeAtMs) {
      const batch = await this.spool.oldest();
      if (batch === null) return;
      // With what was stored a moment ago: a crash of PostgreSQL may have undone it.
      if (!(await this.tryToStore(batch))) return this.toDisk([]);
      await this.spool.removeOldest();
    }
  }

  /** False when the batch is still to be stored. One that holds a row PostgreSQL refuses is stored but for that row. */
  private async tryToStore(batch: HitBatch): Promise<boolean> {
    // One that hangs is kept like any other that could not be stored; should it be stored after all, its id is known.
    const stored = await this.afterWork
      .run(async () => this.store.store(batch))
      .catch(() => ({ outcome: 'away' as const }));
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
    return true;
  }

  /**
   * Under the same ids whenever it is done: who dies before the file is removed does it anew at the next start, and what is
   * stored by then is known.
   */
  private async storeHalves({ id, sources, hits }: HitBatch, reason: string): Promise<boolean> {
    if (hits.length <= 1) {
      this.metrics.dropped('refused', hits.length);
      this.#log.error(`A hit cannot be stored: PostgreSQL answers ${reason}`);
      return true;
    }
    const middle = hits.length >> 1;
    const halves = [hits.slice(0, middle), hits.slice(middle)].map((part, half) => ({
      ...{ id: idOfHalf(id, half), sources, hits: part },
    }));
    for (const half of halves) this.#takeOn(half);
    for (const half of halves) await this.storeOrKeep(half);
    return true;
  }

  /**
   * With the database away, what waits to be certain goes along: PostgreSQL may have lost it, and knows the batch if it
   * has not.
   */
  private async toDisk(batches: HitBatch[]): Promise<void> {
    const uncertain = this.#away ? this.#retained.splice(0).map(({ batch }) => batch) : [];
    this.#writing = this.#writing.then(async () => {
      for (const batch of [...uncertain, ...batches]) await this.put(batch);
    });
    await this.#writing;
  }

  private async put(batch: HitBatch): Promise<void> {
    try {
      if (!(await this.spool.put(batch))) this.metrics.dropped('spool_full', batch.hits.length);
    } catch (error) {
      this.metrics.dropped('spool_failed', batch.hits.length);
      this.#complain('The spool cannot be written', error);
    }
    this.#letGo(batch);
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
    for (const batch of lost) this.#takeOn(batch);
    for (const batch of lost) await this.storeOrKeep(batch);
  }

  private cutBatches(): HitBatch[] {
    const queue = this.#queue;
    this.#queue = [];
    const batches: HitBatch[] = [];
    for (let from = 0; from < queue.length; from += BATCH_HITS)
      batches.push(batchOf(queue.slice(from, from + BATCH_HITS)));
    for (const batch of batches) this.#takeOn(batch);
    return batches;
  }

  #takeOn(batch: HitBatch): void {
    if (!this.#underWay.has(batch)) this.#hitsUnderWay += batch.hits.length;
    this.#underWay.add(batch);
  }

  #letGo(batch: HitBatch): void {
    if (this.#underWay.delete(batch)) this.#hitsUnderWay -= batch.hits.length;
  }

  #hitsInMemory(): number {
    return this.#queue.length + this.#hitsUnderWay;
  }

  #unstoredSinceMs(): number {
    let sinceMs = Math.min(this.#queue[0]?.atMs ?? Infinity, this.spool.sinceMs);
    for (const { hits } of this.#underWay) sinceMs = Math.min(sinceMs, hits[0]?.atMs ?? Infinity);
    return sinceMs;
  }

  #complain(what: string, error: unknown): void {
    this.#log.error(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The same for the same half of the same batch: a UUID of version 8 (RFC 9562 §5.8), made of a hash. */
function idOfHalf(id: string, half: number): string {
  const hex = createHash('sha256').update(`${id}:${half}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function batchOf(queued: readonly QueuedHit[]): HitBatch {
  const places = new Map<HitSource, number>();
  const hits = queued.map(({ source, messageId, linkId, atMs }) => {
    let place = places.get(source);
    if (place === undefined) places.set(source, (place = places.size));
    return { source: place, messageId, linkId, atMs };
  });
  return { id: randomUUID(), sources: [...places.keys()], hits };
}
