/**
 * Keeps one thing ready while the one before is under way. `prepare` answers null when nothing comes any more. Not for two
 * takers at once.
 */
export class OneAhead<T> {
  #coming: Promise<T | null> | null = null;
  #ready: T | null = null;

  constructor(private readonly prepare: () => Promise<T | null>) {}

  /** What `take` would answer with at once; null while it is still being prepared. */
  get ready(): T | null {
    return this.#ready;
  }

  /** Begins with the next unless that is under way. Never rejects: the failure is `take`'s. */
  begin(): void {
    if (this.#coming) return;
    this.#coming = this.prepare().then((value) => (this.#ready = value));
    // Nobody may be listening yet, and an unheard rejection would end the process.
    this.#coming.catch(() => undefined);
  }

  async take(): Promise<T | null> {
    this.begin();
    try {
      return await this.#coming;
    } finally {
      this.#coming = null;
      this.#ready = null;
    }
  }

  /** What was begun and is not wanted any more. */
  async rest(): Promise<T | null> {
    return this.#coming === null ? null : this.take().catch(() => null);
  }
}
