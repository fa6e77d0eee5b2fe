import { randomInt } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Remembered } from '../../infra/remembered.js';
import { RelaysService } from '../relays/relays.service.js';
import { ALL_RELAYS, bucketKeysOf, paceKey, paceKeysOf, queueOfAll, readPaceKey } from './bucket-keys.js';
import { PacingQueries, type BucketRow } from './pacing.queries.js';
import { Receivers } from './receivers.service.js';
import {
  joined,
  joinedKeysOf,
  sharedOut,
  withRoom,
  type Allowed,
  type Crowded,
  type Room,
  type Share,
} from './relay-shares.js';
import { QueueMeter, recovered, slowed, STEP_PAUSE_MS } from './slow-down.js';
import {
  allocate,
  CLOCK_STEP_MS,
  giveBack,
  giveBackDay,
  refill,
  urgencyOf,
  waitMs,
  type Bucket,
  type Urgency,
} from './token-bucket.js';
import type { DuePlace } from '../ledger/due-places.js';

/** How long a worker may not know of a limit that was just set. */
const KEYS_CACHE_MS = 1_000;
/** With a queue of their own: each claim looks into every queue. Where still more ask for less, all others go slower together. */
const MOST_RECEIVERS = 32;
/** Of a receiver that has taken nothing yet, and so shows no pace: from nothing, a thousand mails would take hours. */
const FIRST_OF_RECEIVER_PER_SECOND = 1;
/**
 * What was held back or on its way while a receiver got its queue comes into the queue of all others again; to find it, all
 * that waits there is read.
 */
const MOVED_AGAIN_EVERY_MS = 60_000;
/** A queue's recovery is written at most this often. */
const RECOVERY_EVERY_MS = 1_000;
const CHANCES = 1 << 30;
/** Until so many have gone by a relay that more may be claimed for it; it takes hundreds meanwhile. */
const CROWDED_MS = 50;
const NOT_CROWDED: Crowded = () => false;

/**
 * How many mails may go now. Every worker takes from the same buckets, in the database and on its clock; a bucket that
 * is not there is no limit. Whoever has taken tokens and does not send gives them back.
 */
@Injectable()
export class PacingService {
  readonly #meters = new Map<string, QueueMeter>();
  readonly #recoveredAtMs = new Map<string, number>();
  readonly #splitOffAtMs = new Map<string, number>();
  /** How many have a queue of their own. */
  #receivers = 0;
  /** Each with whether it counts the mails of a day. */
  readonly #keys: Remembered<ReadonlyMap<string, boolean>>;

  constructor(
    private readonly queries: PacingQueries,
    private readonly receivers: Receivers,
    private readonly relays: RelaysService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#keys = new Remembered(async () => {
      const keys = await queries.keys();
      const queues = keys.flatMap(({ key }) => readPaceKey(key)?.queueKey ?? []);
      this.#receivers = new Set(queues.filter((queueKey) => queueOfAll(queueKey) !== null)).size;
      return new Map(keys.map(({ key, ofDay }) => [key, ofDay]));
    }, KEYS_CACHE_MS);
  }

  /**
   * Takes tokens for at most `limit` mails, by priority and then shared fairly among the queues; a queue that gets none is
   * not in the answer. Where one of several relays is slower in a queue than it might be, its mails have to go by the relays
   * that are named, to none for which they are `crowded`.
   * Without limits it costs one small read a second.
   */
  async allow(due: readonly DuePlace[], limit: number, crowded: Crowded = NOT_CROWDED): Promise<Allowed> {
    const relays = await this.relays.shares();
    const { places, relaysOf } = await this.room(due, relays, crowded);
    const keys = await this.existing(places.map(({ queueKey }) => queueKey));
    const none = { buckets: [], bucketsOf: bucketKeysOf };
    if (keys.length === 0) return { granted: allocate(places, limit, none).granted, by: new Map() };
    return this.queries.update(keys, (rows) => {
      const full = rows.map((row) => refill(row, row.nowMs));
      const { granted, buckets } = allocate(places, limit, {
        buckets: joined(full, relaysOf),
        bucketsOf: joinedKeysOf,
      });
      const relayOf = ({ key }: Bucket): string | null => readPaceKey(key)?.relay ?? null;
      const spent = [
        ...buckets.filter((bucket) => relayOf(bucket) !== ALL_RELAYS),
        ...full.filter((bucket) => relayOf(bucket) !== null),
      ];
      const chance = (): number => randomInt(CHANCES) / CHANCES;
      const { buckets: left, ...allowed } = sharedOut(granted, { buckets: spent, relays, relaysOf, chance });
      return { result: allowed, buckets: left };
    });
  }

  /** For `count` mails of the queue that were allowed so many milliseconds ago and not begun. `relay`: by which they were to go. */
  async giveBack(queueKey: string, count: number, paidMsAgo = 0, relay: string | null = null): Promise<void> {
    const paid = [...bucketKeysOf(queueKey), ...(relay === null ? [] : paceKeysOf(queueKey, relay))];
    const known = count > 0 ? await this.#keys.get() : new Map<string, boolean>();
    const keys = paid.filter((key) => known.has(key)).toSorted();
    if (keys.length === 0) return;
    await this.queries.update(keys, (rows) => ({
      result: undefined,
      buckets: rows.map((row) => giveBack(refill(row, row.nowMs), count, row.nowMs - paidMsAgo)),
    }));
  }

  /** For a mail of the queue that was refused before its body: it uses up nobody's day. Costs nothing where no day is limited. */
  async giveBackDay(queueKey: string, paidMsAgo: number): Promise<void> {
    const known = await this.#keys.get();
    const keys = bucketKeysOf(queueKey).filter((key) => known.get(key) === true);
    if (keys.length === 0) return;
    await this.queries.update(keys, (rows) => ({
      result: undefined,
      buckets: rows.map((row) => giveBackDay(refill(row, row.nowMs), 1, row.nowMs - paidMsAgo)),
    }));
  }

  /**
   * The receiver answered 421 or 45x. A single one is no matter; when they become a storm, the queue goes one step slower,
   * in all workers. `domain`: of the recipient, unless it is the relay that is slow. Where receivers share the queue and
   * only some of them answer so, those go slower, each in a queue of its own. `relay`: by which the mail went; of several that
   * one alone goes slower.
   */
  async slowDown(queueKey: string, code: number, domain?: string, relay?: string): Promise<void> {
    const nowMs = this.clock.now().getTime();
    const way = { queueKey, relay: this.oneOfSeveral(relay) };
    const meter = this.meter(way);
    if (!isShared(queueKey)) {
      if (meter.throttled(nowMs)) await this.step(way, code, meter.ratePerSecond(nowMs));
      return;
    }
    if (domain !== undefined) {
      await this.receivers.learn([domain]);
      const own = await this.ownQueue(queueKey, domain, nowMs);
      if (own !== queueKey) return this.slowDown(own, code, undefined, relay);
    }
    if (!meter.refused(nowMs, domain)) return;
    await this.receivers.learn(meter.domains);
    const rate = meter.ratePerSecond(nowMs);
    const room = Math.max(0, MOST_RECEIVERS - this.#receivers);
    const storm = meter.storm(nowMs, (one) => this.receivers.of(one), room);
    if (storm === null) return;
    if (storm.of === 'queue') {
      await this.step(way, code, rate);
      return;
    }
    for (const { name, share } of storm.receivers) {
      const isFirst = await this.step({ ...way, queueKey: `${queueKey}|${name}` }, code, rate * share);
      if (!isFirst) continue;
      this.#receivers++;
      await this.splitOff(name, nowMs);
    }
  }

  /** One step down; true for the first of the queue, from `rate`, mails a second that this process saw accepted. */
  private async step({ queueKey, relay }: Way, code: number, rate: number): Promise<boolean> {
    const key = paceKey(queueKey, relay);
    // This process has seen its own mails alone, and all that send in the queue go by the one pace.
    const workers = this.#keys.last?.has(key)
      ? 1
      : await this.queries.workersIn(queueOfAll(queueKey) ?? queueKey);
    const least = queueOfAll(queueKey) === null ? 0 : FIRST_OF_RECEIVER_PER_SECOND;
    const first = slowed({ ratePerSecond: Math.max(least, rate * workers), factor: 1 }, code);
    if (await this.queries.insertSlowed(key, first.ratePerSecond, first.factor)) {
      this.#keys.forget();
      return true;
    }
    await this.queries.updatePace(key, (row) => {
      if (row.slowedAtMs !== null && isWithin(row.nowMs - row.slowedAtMs, STEP_PAUSE_MS)) return null;
      const next = slowed({ ratePerSecond: row.ratePerSecond ?? 1, factor: row.slowFactor }, code);
      return { ratePerSecond: next.ratePerSecond, slowFactor: next.factor, stepped: true };
    });
    return false;
  }

  /**
   * A mail has waited for half a minute for the relay to take it. A storm of these, while others are taken, is a relay that
   * has too much to do; while none is, it is out, which is for the breaker: the pace of nothing is no pace to go on with.
   */
  async stalled(queueKey: string, relay?: string): Promise<void> {
    const meter = this.meter({ queueKey, relay: this.oneOfSeveral(relay) });
    if (meter.ratePerSecond(this.clock.now().getTime()) > 0)
      await this.slowDown(queueKey, 451, undefined, relay);
  }

  /** `count` mails of the queue were accepted: if it was slowed down, it may go a little faster. `domain` and `relay` as for `slowDown`. */
  async sped(queueKey: string, count: number, domain?: string, by?: string): Promise<void> {
    const nowMs = this.clock.now().getTime();
    const relay = this.oneOfSeveral(by);
    const own =
      domain === undefined || !isShared(queueKey) ? queueKey : await this.ownQueue(queueKey, domain, nowMs);
    const parent = queueOfAll(own);
    this.meter({ queueKey: own, relay }).accepted(count, nowMs, isShared(own) ? domain : undefined);
    if (parent !== null) this.meter({ queueKey: parent, relay }).accepted(count, nowMs);
    // What was learnt while there was one relay alone holds for all, and what one of several has learnt holds when it is left
    // alone; both are forgotten like any other.
    const relays = by === undefined ? [null] : [null, by];
    for (const one of relays) for (const key of paceKeysOf(own, one)) await this.recover(key, nowMs);
  }

  private async recover(key: string, nowMs: number): Promise<void> {
    if (!this.#keys.last?.has(key)) return;
    if (isWithin(nowMs - (this.#recoveredAtMs.get(key) ?? 0), RECOVERY_EVERY_MS)) return;
    this.#recoveredAtMs.set(key, nowMs);
    await this.queries.updatePace(key, (row) => {
      const pace = { ratePerSecond: row.ratePerSecond ?? 1, factor: row.slowFactor };
      const next = recovered(pace, (row.nowMs - row.updatedAtMs) / 1000);
      if (next === null) return 'forget';
      return { ratePerSecond: next.ratePerSecond, slowFactor: next.factor, stepped: false };
    });
  }

  /**
   * The receiver's own, where it has one: the mail may have been claimed or held before that was made. Others may follow it,
   * which pay nothing for the receiver's pace until they are in its queue.
   */
  private async ownQueue(queueKey: string, domain: string, nowMs: number): Promise<string> {
    if (this.#receivers === 0) return queueKey;
    const receiver = this.receivers.of(domain);
    const own = `${queueKey}|${receiver}`;
    const ways = [null, ...this.relays.all().map(({ name }) => name)];
    if (!ways.some((relay) => this.#keys.last?.has(paceKey(own, relay)))) return queueKey;
    const before = this.#splitOffAtMs.get(receiver) ?? Number.NEGATIVE_INFINITY;
    if (!isWithin(nowMs - before, MOVED_AGAIN_EVERY_MS)) await this.splitOff(receiver, nowMs);
    return own;
  }

  private async splitOff(receiver: string, nowMs: number): Promise<void> {
    this.#splitOffAtMs.set(receiver, nowMs);
    await this.receivers.splitOff(receiver);
  }

  /**
   * Milliseconds until a mail of the first of the places may go; 0: now. Null without places. A span and not an instant,
   * because the buckets run on the database's clock.
   */
  async waitMs(
    due: readonly Pick<DuePlace, 'queueKey' | 'priority'>[],
    crowded: Crowded = NOT_CROWDED,
  ): Promise<number | null> {
    if (due.length === 0) return null;
    const { places, relaysOf, isCrowded } = await this.room(due, await this.relays.shares(), crowded);
    const longestMs = isCrowded ? CROWDED_MS : Number.POSITIVE_INFINITY;
    if (places.length === 0) return longestMs;
    const keys = await this.existing(places.map(({ queueKey }) => queueKey));
    if (keys.length === 0) return 0;
    const buckets = new Map((await this.queries.read(keys)).map((row) => [row.key, refill(row, row.nowMs)]));
    const waits = places.map(({ queueKey, priority }) => {
      const longest = (paid: readonly string[]): number =>
        Math.max(0, ...paid.flatMap((key) => waitsFor(buckets.get(key), urgencyOf(priority))));
      const byRelay = relaysOf(queueKey).map(({ name }) => longest(paceKeysOf(queueKey, name)));
      return Math.max(longest(bucketKeysOf(queueKey)), byRelay.length === 0 ? 0 : Math.min(...byRelay));
    });
    return Math.min(longestMs, ...waits);
  }

  /** Every bucket as it stands in the database; `refill` brings it up to its `nowMs`. */
  async buckets(): Promise<BucketRow[]> {
    return this.queries.all();
  }

  /** Limits have just been changed here: read them anew at once. */
  forgetCache(): void {
    this.#keys.forget();
  }

  private meter({ queueKey, relay }: Way): QueueMeter {
    const key = paceKey(queueKey, relay);
    const known = this.#meters.get(key);
    if (known) return known;
    const meter = new QueueMeter();
    this.#meters.set(key, meter);
    return meter;
  }

  /** Null where there is no other: what is said to that one is said to all mails. */
  private oneOfSeveral(relay: string | undefined): string | null {
    return relay === undefined || this.relays.all().length < 2 ? null : relay;
  }

  private async room<P extends Pick<DuePlace, 'queueKey' | 'priority'>>(
    places: readonly P[],
    relays: readonly Share[],
    crowded: Crowded,
  ): Promise<Room<P>> {
    const known = await this.#keys.get();
    const isPaced = (queueKey: string): boolean =>
      relays.some(({ name }) => paceKeysOf(queueKey, name).some((key) => known.has(key)));
    return withRoom(places, relays, { isPaced, crowded });
  }

  private async existing(queueKeys: readonly string[]): Promise<string[]> {
    const known = await this.#keys.get();
    const relays = this.relays.all().map(({ name }) => name);
    const keys = queueKeys.flatMap((queueKey) => [
      ...bucketKeysOf(queueKey),
      ...relays.flatMap((relay) => paceKeysOf(queueKey, relay)),
    ]);
    return [...new Set(keys)].filter((key) => known.has(key)).sort();
  }
}

/** A queue by one relay of several; null: by whichever. */
interface Way {
  queueKey: string;
  relay: string | null;
}

function waitsFor(bucket: Bucket | undefined, urgency: Urgency): number[] {
  return bucket === undefined ? [] : [waitMs(bucket, urgency)];
}

/**
 * Whether that was so little ago. What is to come by more than workers race is of a clock that was ahead, and would count as
 * little until then.
 */
function isWithin(agoMs: number, spanMs: number): boolean {
  return agoMs < spanMs && agoMs > -CLOCK_STEP_MS;
}

/** Whether many receivers are in the queue. */
function isShared(queueKey: string): boolean {
  return queueKey.endsWith('|other');
}
