import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';

/** Hits within one flush, 12,500 a second, from which on they count as a rush: below, all of them are stored as they come. */
const RUSH_HITS = 500;
const RUSH_MS = 250;
/**
 * In a rush the database works for a twentieth of the time at first, which stores some 4,000 hits a second, and the answers
 * have the rest: a fifth of the time cost an eighth of the answers.
 */
const REST_FOR_WORK = 19;
const LONGEST_REST_MS = 1_000;
/** A piece that takes this long hangs, on a lock or a dead connection; the others do not hang with it. */
const LONGEST_PIECE_MS = 10_000;

/**
 * Storing and judging hits, behind the answers: one piece at a time, and while hits come in by the thousand with a rest
 * after each that is a multiple of the time it took. The hits are safe on disk meanwhile. Without it a rush is answered
 * at half the rate, and some of the answers wait for half a second.
 */
@Injectable()
export class AfterWork {
  /** By which other processes on the same database tell this one from themselves. */
  readonly processId = randomUUID();
  #last: Promise<void> = Promise.resolve();
  /** Lets the next piece begin, whatever the present one does. */
  #next: () => void = () => undefined;
  #pieces = 0;
  #rushUntilMs = -Infinity;
  #restUntilMs = -Infinity;
  #restForWork = REST_FOR_WORK;
  #closing = false;
  #unstoredSinceMs: () => number = () => Infinity;

  watch(unstoredSinceMs: () => number): void {
    this.#unstoredSinceMs = unstoredSinceMs;
  }

  /** When the oldest hit came in that this process has taken and not stored yet, as an epoch; infinite when there is none. */
  get unstoredSinceMs(): number {
    return this.#unstoredSinceMs();
  }

  /** So many hits were taken since the last call, some hundredths of a second ago. */
  arrived(hits: number): void {
    if (hits >= RUSH_HITS) this.#rushUntilMs = performance.now() + RUSH_MS;
  }

  /** By how much the rests are cut, 0 to 1; at 1 there are none, and all is done at once, whoever waits. */
  set haste(value: number) {
    this.#restForWork = REST_FOR_WORK * (1 - Math.min(1, Math.max(0, value)));
  }

  /** Whether a piece of work would begin now. */
  get free(): boolean {
    return this.#pieces === 0 && performance.now() >= this.#restUntilMs;
  }

  /** From now on no rest is taken, and no piece waits for another: the process is about to end. */
  hurry(): void {
    this.#closing = true;
    this.#restUntilMs = -Infinity;
    this.#next();
  }

  /**
   * Settles as `work` does, once it was its turn. A piece should take some hundredths of a second; after
   * `LONGEST_PIECE_MS` it rejects, and what comes of `work` is nobody's.
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#pieces++;
    const before = this.#last;
    let leave: () => void = () => undefined;
    this.#last = new Promise((resolve) => (leave = resolve));
    await before;
    await this.#rest();
    this.#next = leave;
    if (this.#closing) leave();
    const startedMs = performance.now();
    try {
      return await inTime(work());
    } finally {
      this.#pieces--;
      const endedMs = performance.now();
      if (endedMs < this.#rushUntilMs && !this.#closing)
        this.#restUntilMs = endedMs + Math.min((endedMs - startedMs) * this.#restForWork, LONGEST_REST_MS);
      leave();
    }
  }

  async #rest(): Promise<void> {
    const leftMs = this.#restUntilMs - performance.now();
    if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no end within ${LONGEST_PIECE_MS} ms`));
    }, LONGEST_PIECE_MS);
    timer.unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
