import type { Relay } from './relays.service.js';
import { SmtpLane } from './smtp-lane.transport.js';

/** So long without any lane coming back, a relay keeps nobody waiting who may go by another one. */
export const PATIENCE_MS = 10_000;

/** The lanes of one run, by relay. */
export class LanePools {
  readonly #pools = new Map<string, LanePool>();

  constructor(
    private readonly room: (relay: Relay) => number,
    private readonly patienceMs = PATIENCE_MS,
  ) {}

  of(relay: Relay): LanePool {
    const pool = this.#pools.get(relay.name) ?? new LanePool(relay, () => this.room(relay), this.patienceMs);
    this.#pools.set(relay.name, pool);
    return pool;
  }

  /** Names of the relays that have all their lanes under way, and have let none go for long. */
  stuck(): string[] {
    return [...this.#pools].filter(([, pool]) => pool.stuck).map(([name]) => name);
  }

  look(): void {
    for (const pool of this.#pools.values()) pool.look();
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close();
  }
}

/** The lanes of one run to one relay. */
class LanePool {
  readonly #free: SmtpLane[] = [];
  readonly #waiting: ((lane: SmtpLane | null) => void)[] = [];
  /** Those that are free and those that are at work. */
  #open = 0;
  #stuck = false;
  #patience: NodeJS.Timeout | undefined;

  /** `most`: how many there may be at this moment. */
  constructor(
    private readonly relay: Pick<Relay, 'name' | 'url' | 'provider' | 'tls' | 'ca'>,
    private readonly most: () => number,
    private readonly patienceMs = PATIENCE_MS,
  ) {}

  /**
   * It answers somebody's greeting, envelope or text by bits, or not at all: that may last for a minute and a half, and the
   * lanes to all relays would come to wait for this one. Until the first lane comes back.
   */
  get stuck(): boolean {
    return this.#stuck;
  }

  /**
   * Waits for a lane that is at work when there may be no more. Null: whoever asks had better choose among the relays anew,
   * as none of the lanes, or one of them, will not come back soon, or there is none that may be waited for.
   */
  async take(): Promise<SmtpLane | null> {
    // The one used last is still warm; the others may have been closed by the relay meanwhile.
    const lane = this.#free.pop() ?? this.#opened();
    if (lane || this.#open === 0) return lane;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.#waitOn();
    });
  }

  put(lane: SmtpLane): void {
    this.#stuck = false;
    const next = this.#waiting.shift();
    this.#waitOn();
    if (next) next(lane);
    else this.#free.push(lane);
  }

  /** A lane that is at work does not come back. */
  leave(): void {
    this.#open--;
    this.#stuck = false;
    this.look();
  }

  /** There may be room for a lane more, or nothing to wait for. */
  look(): void {
    for (const resolve of this.#waiting.splice(0)) resolve(null);
    this.#waitOn();
  }

  close(): void {
    for (const lane of this.#free) lane.close();
  }

  #waitOn(): void {
    clearTimeout(this.#patience);
    if (this.#waiting.length === 0) return;
    this.#patience = setTimeout(() => {
      this.#stuck = true;
      this.look();
    }, this.patienceMs);
  }

  #opened(): SmtpLane | null {
    if (this.#open >= this.most()) return null;
    this.#open++;
    return new SmtpLane(this.relay.name, this.relay.url, this.relay.provider, this.relay);
  }
}
