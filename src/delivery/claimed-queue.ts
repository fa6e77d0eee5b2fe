import type { ClaimedMessage } from './message.js';

/** Below this many the next batch is fetched, so that no lane waits for the database. */
const LOW_WATER = 48;

/** What is claimed and not yet taken by a lane. Fetches ahead, one batch at a time. */
export class ClaimedQueue {
  #waiting: ClaimedMessage[] = [];
  #fetching: Promise<void> | null = null;
  #exhausted = false;

  /** @param fetch claims one batch; `taken` counts what it put aside, too, and 0 ends the queue. */
  constructor(private readonly fetch: () => Promise<{ taken: number; messages: ClaimedMessage[] }>) {}

  /** The next message for a lane; null when nothing is due any more. Rejects when a claim failed. */
  async next(): Promise<ClaimedMessage | null> {
    for (;;) {
      if (this.#waiting.length < LOW_WATER && !this.#exhausted) this.#fetching ??= this.#fetch();
      const first = this.#waiting.shift();
      if (first) return first;
      if (!this.#fetching) return null;
      await this.#fetching;
    }
  }

  /** What no lane has taken; nothing more is handed out afterwards. */
  async rest(): Promise<ClaimedMessage[]> {
    this.#exhausted = true;
    await this.#fetching?.catch(() => undefined);
    return this.#waiting.splice(0);
  }

  async #fetch(): Promise<void> {
    try {
      const { taken, messages } = await this.fetch();
      this.#waiting.push(...messages);
      if (taken === 0) this.#exhausted = true;
    } finally {
      this.#fetching = null;
    }
  }
}
