import { DEFAULT_LANES } from '../../src/delivery/relays/relay-choice.js';
import { CountingSink, type SinkOptions } from '../support/counting-sink.js';

export interface RelayOptions extends SinkOptions {
  /** Its share of the mails among several. */
  weight?: number;
}

/** All relays of a scenario: what two of them took was taken twice. */
export class Sinks {
  readonly all: readonly CountingSink[];
  readonly #weights: readonly number[];

  constructor(relays: readonly RelayOptions[], seed: number) {
    this.all = relays.map((options, index) => new CountingSink({ seed: seed + index, ...options }));
    this.#weights = relays.map(({ weight = 1 }) => weight);
  }

  async listen(): Promise<void> {
    await Promise.all(this.all.map(async (sink) => sink.listen()));
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map(async (sink) => sink.close()));
  }

  /** For SMTP_URL. The first relay is called `relay-1`, unless it is the only one. */
  get url(): string {
    if (this.all.length === 1) return this.all[0]?.url ?? '';
    return this.all
      .map(({ url }, index) => `${url}?name=relay-${index + 1}&weight=${this.#weights[index]}`)
      .join(' ');
  }

  /** Message-ID to the number of times it was taken, by whichever of them. */
  get taken(): ReadonlyMap<string, number> {
    const sum = new Map<string, number>();
    for (const { taken } of this.all)
      for (const [id, times] of taken) sum.set(id, (sum.get(id) ?? 0) + times);
    return sum;
  }

  get recipients(): ReadonlyMap<string, string> {
    return new Map(this.all.flatMap(({ recipients }) => [...recipients]));
  }

  get takenTotal(): number {
    return this.#sum(({ takenTotal }) => takenTotal);
  }

  get begun(): number {
    return this.#sum(({ hits }) => hits.mail);
  }

  get unclear(): number {
    return this.#sum(({ unclear }) => unclear);
  }

  /** Lanes of one worker at most, of which `parked` to each relay may wait beside those at work: those that were seen. */
  lanes(parked: number): number {
    return this.#sum(({ mostOpen }) => Math.min(DEFAULT_LANES + parked, mostOpen));
  }

  #sum(of: (sink: CountingSink) => number): number {
    return this.all.reduce((sum, sink) => sum + of(sink), 0);
  }
}
