/** What a test's job did, in the order of its runs; a test waits for runs instead of sleeping. */
export class JobRuns {
  readonly startedMs: number[] = [];
  running = 0;
  mostAtOnce = 0;
  readonly #waiting: { count: number; resolve: () => void }[] = [];

  get count(): number {
    return this.startedMs.length;
  }

  /** Counts a run around `work`. */
  async during(work: () => Promise<void> = async () => {}): Promise<void> {
    this.startedMs.push(performance.now());
    this.running += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.running);
    for (const waiting of this.#waiting) if (this.count >= waiting.count) waiting.resolve();
    try {
      await work();
    } finally {
      this.running -= 1;
    }
  }

  /** Resolves when run number `count` has begun; rejects when that takes longer than `withinMs`. */
  async reach(count: number, withinMs = 40_000): Promise<void> {
    if (this.count >= count) return;
    await new Promise<void>((resolve, reject) => {
      const late = new Error(`${this.count} of ${count} runs within ${withinMs} ms`);
      const timer = setTimeout(() => reject(late), withinMs);
      this.#waiting.push({
        count,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
