import type { Claimed, ClaimedMessage } from '../message/message.js';

/** Below this many the next batch is fetched: as long as that takes on a busy disk, no lane must wait for it. */
const LOW_WATER = 128;
/** Mails whose pace lets them go later than this wait for the next run. */
const LONGEST_WAIT_MS = 1_000;

/** What is claimed and not yet taken by a lane. Fetches ahead, one batch at a time. */
export class ClaimedMails {
  #waiting: ClaimedMessage[] = [];
  #fetching: Promise<void> | null = null;
  #exhausted = false;
  #failure: { error: unknown } | null = null;

  /**
   * @param fetch claims one batch
   * @param pause waits that many milliseconds, or less when the run is told to stop
   * @param goesOn asked before each batch: many in a row may hold nothing for a lane
   * @param moreMayCome waits while lanes are still at work and says whether to look again: a receipt that comes now must
   * not wait for the slowest of them
   */
  constructor(
    private readonly fetch: () => Promise<Claimed>,
    private readonly pause: (milliseconds: number) => Promise<void>,
    private readonly goesOn: () => boolean = () => true,
    private readonly moreMayCome: () => Promise<boolean> = async () => false,
  ) {}

  /** What `next` would answer with at once. */
  get first(): ClaimedMessage | undefined {
    return this.#waiting[0];
  }

  /** The next message for a lane; null when nothing more may go now. Rejects once a claim has failed; see `rest`. */
  async next(): Promise<ClaimedMessage | null> {
    for (;;) {
      if (this.#waiting.length < LOW_WATER && !this.#exhausted && this.goesOn())
        this.#fetching ??= this.#fetch();
      if (this.#failure) throw this.#failure.error;
      const first = this.#waiting.shift();
      if (first) return first;
      if (!this.#fetching) return null;
      await this.#fetching;
    }
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
}
