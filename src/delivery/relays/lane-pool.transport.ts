import type { Relay } from './relays.service.js';
import { SmtpLane } from './smtp-lane.transport.js';

/** The lanes of one run to one relay. */
export class LanePool {
  readonly #free: SmtpLane[] = [];
  readonly #waiting: ((lane: SmtpLane | null) => void)[] = [];
  /** Those that are free and those that are at work. */
  #open = 0;

  /** `most`: how many there may be at this moment. */
  constructor(
    private readonly relay: Pick<Relay, 'name' | 'url' | 'provider' | 'tls' | 'ca'>,
    private readonly most: () => number,
  ) {}

  /**
   * Waits for a lane that is at work when there may be no more. Null: whoever asks had better choose among the relays anew,
   * as one of the lanes will not come back soon, or there is none that may be waited for.
   */
  async take(): Promise<SmtpLane | null> {
    // The one used last is still warm; the others may have been closed by the relay meanwhile.
    const lane = this.#free.pop() ?? this.#opened();
    if (lane || this.#open === 0) return lane;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  put(lane: SmtpLane): void {
    const next = this.#waiting.shift();
    if (next) next(lane);
    else this.#free.push(lane);
  }

  /** A lane that is at work does not come back. */
  leave(): void {
    this.#open--;
    this.look();
  }

  /** There may be room for a lane more, or nothing to wait for. */
  look(): void {
    for (const resolve of this.#waiting.splice(0)) resolve(null);
  }

  close(): void {
    for (const lane of this.#free) lane.close();
  }

  #opened(): SmtpLane | null {
    if (this.#open >= this.most()) return null;
    this.#open++;
    return new SmtpLane(this.relay.name, this.relay.url, this.relay.provider, this.relay);
  }
}
