import type { Claimed, ClaimedMessage } from '../message/message.js';
import { paceKey } from '../pacing/bucket-keys.js';
import type { Crowded } from '../pacing/relay-shares.js';

/** Below this many the next batch is fetched: as long as that takes on a busy disk, no lane must wait for it. */
const LOW_WATER = 128;
/**
 * So many that wait for the lanes of one relay, and no more are claimed for it but what somebody waits for, and of that twice as
 * many: what it has not taken when the run is over goes back all at once, and comes up anew.
 */
const MOST_WAITING = 1_024;
/** Mails whose pace lets them go later than this wait for the next run. */
const LONGEST_WAIT_MS = 1_000;
const NONE: ReadonlySet<string> = new Set();

/** Who takes mails, one after the other, and the next one ahead. */
export type Taker = object;

/**
 * What is claimed and not yet taken by a lane. Fetches ahead, one batch at a time. Mails that are to go by one relay are
 * handed out to as many takers as it has lanes, and to one more: else all would come to wait for it, and the lanes of the
 * others stand idle.
 */
export class ClaimedMails {
  #waiting: ClaimedMessage[] = [];
  /** By relay, who holds mails that are to go by it, and how many. */
  readonly #takers = new Map<string, Map<Taker, number>>();
  /** Of takers that found nothing for them. */
  readonly #sleepers = new Set<() => void>();
  #fetching: Promise<void> | null = null;
  #exhausted = false;
  #failure: { error: unknown } | null = null;

  /**
   * @param fetch claims one batch
   * @param pause waits that many milliseconds, or less when the run is told to stop
   * @param goesOn asked before each batch: many in a row may hold nothing for a lane
   * @param moreMayCome waits while lanes are still at work and says whether to look again: a receipt that comes now must
   * not wait for the slowest of them
   * @param lanesTo lanes of a relay; without end where its mails go by others
   */
  constructor(
    private readonly fetch: () => Promise<Claimed>,
    private readonly pause: (milliseconds: number) => Promise<void>,
    private readonly goesOn: () => boolean = () => true,
    private readonly moreMayCome: () => Promise<boolean> = async () => false,
    private readonly lanesTo: (relay: string) => number = () => Number.POSITIVE_INFINITY,
  ) {}

  /** What `next` would answer with at once. */
  first(taker: Taker): ClaimedMessage | undefined {
    return this.#waiting[this.#placeFor(taker)];
  }

  /**
   * The next message for a lane, which is to be told of when it has `ended`; null when nothing more may go now. Rejects once
   * a claim has failed; see `rest`.
   */
  async next(taker: Taker): Promise<ClaimedMessage | null> {
    for (;;) {
      if (this.#hasRoom() && !this.#exhausted && this.goesOn()) this.#fetching ??= this.#fetch();
      if (this.#failure) throw this.#failure.error;
      const message = this.#taken(taker);
      if (message) return message;
      if (!this.#fetching) return null;
      await this.#change();
    }
  }

  /** A lane may be free for another. */
  ended(taker: Taker, message: ClaimedMessage): void {
    if (message.relay === undefined) return;
    this.#count(taker, message, -1);
    const [wake] = this.#sleepers;
    if (wake === undefined) return;
    this.#sleepers.delete(wake);
    wake();
  }

  /** By how many wait for the lanes of each relay now, in all and of a queue. */
  crowded(): Crowded {
    const waiting = new Map<string, number>();
    const add = (key: string): unknown => waiting.set(key, (waiting.get(key) ?? 0) + 1);
    for (const { queueKey, relay } of this.#waiting)
      if (relay !== undefined) [relay, paceKey(queueKey, relay)].forEach(add);
    return (queueKey, relay, urgency) => {
      const all = waiting.get(relay) ?? 0;
      if (urgency === 'urgent') return all >= 2 * MOST_WAITING;
      return all >= MOST_WAITING || (waiting.get(paceKey(queueKey, relay)) ?? 0) >= LOW_WATER;
    };
  }

  /** What no lane has taken; nothing more is handed out afterwards. */
  async rest(): Promise<ClaimedMessage[]> {
    this.#exhausted = true;
    await this.#fetching;
    return this.#waiting.splice(0);
  }

  /** Never rejects: while mails are waiting nobody listens, and an unheard rejection would end the process. */
  async #fetch(): Promise<void> {
    try {
      const { taken, messages, waitMs } = await this.fetch();
      this.#waiting.push(...messages);
      if (taken > 0) return;
      if (waitMs !== null && waitMs <= LONGEST_WAIT_MS) await this.pause(waitMs);
      else if (!(await this.moreMayCome())) this.#exhausted = true;
    } catch (error) {
      this.#failure = { error };
      this.#exhausted = true;
    } finally {
      this.#fetching = null;
    }
  }

  /** Of those that wait for the lanes of one relay there may be many while the others run dry. */
  #hasRoom(): boolean {
    if (this.#waiting.length < LOW_WATER) return true;
    const busy = this.#busyFor(null);
    return (
      busy.size > 0 &&
      this.#waiting.filter(({ relay }) => relay === undefined || !busy.has(relay)).length < LOW_WATER
    );
  }

  #taken(taker: Taker): ClaimedMessage | undefined {
    // With nothing else to come it waits for a lane as well as here.
    const place = this.#fetching ? this.#placeFor(taker) : Math.max(0, this.#placeFor(taker));
    if (place < 0) return undefined;
    const message = place === 0 ? this.#waiting.shift() : this.#waiting.splice(place, 1)[0];
    if (message) this.#count(taker, message, 1);
    return message;
  }

  #placeFor(taker: Taker): number {
    const busy = this.#busyFor(taker);
    if (busy.size === 0) return this.#waiting.length > 0 ? 0 : -1;
    return this.#waiting.findIndex(({ relay }) => relay === undefined || !busy.has(relay));
  }

  /** Relays that have no lane for it. Whoever holds one of their mails takes the next by the same. */
  #busyFor(taker: Taker | null): ReadonlySet<string> {
    if (this.#takers.size === 0) return NONE;
    const busy = [...this.#takers].filter(
      ([relay, takers]) => (taker === null || !takers.has(taker)) && takers.size > this.lanesTo(relay),
    );
    return new Set(busy.map(([relay]) => relay));
  }

  #count(taker: Taker, { relay }: ClaimedMessage, by: 1 | -1): void {
    if (relay === undefined) return;
    const takers = this.#takers.get(relay) ?? new Map<Taker, number>();
    const held = (takers.get(taker) ?? 0) + by;
    if (held > 0) takers.set(taker, held);
    else takers.delete(taker);
    if (takers.size > 0) this.#takers.set(relay, takers);
    else this.#takers.delete(relay);
  }

  /** Until a batch has come, or a lane may be free. */
  async #change(): Promise<void> {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    this.#sleepers.add(wake);
    await Promise.race([this.#fetching, woken]);
    this.#sleepers.delete(wake);
  }
}
