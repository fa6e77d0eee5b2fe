/**
 * What a small read answers, remembered for a while. Whoever asks meanwhile waits for the one read under way: without
 * that, every lane of the sender reads anew at the same moment. A read that began before `forget` is not remembered.
 */
export class Remembered<T> {
  #answer: { value: T; readAtMs: number } | null = null;
  #reading: Promise<T> | null = null;
  #forgotten = 0;

  constructor(
    private readonly read: () => Promise<T>,
    private readonly forMs: number,
  ) {}

  /** At most `forMs` old. Rejects as the read does, which is then tried again by the next who asks. */
  async get(): Promise<T> {
    if (this.#answer !== null && performance.now() - this.#answer.readAtMs <= this.forMs)
      return this.#answer.value;
    this.#reading ??= this.#readAnew();
    return this.#reading;
  }

  /** As it was read last and not forgotten since, however long ago; null when never. */
  get last(): T | null {
    return this.#answer?.value ?? null;
  }

  /** To be called after each change. */
  forget(): void {
    this.#answer = null;
    this.#reading = null;
    this.#forgotten++;
  }

  async #readAnew(): Promise<T> {
    const [readAtMs, forgotten] = [performance.now(), this.#forgotten];
    try {
      const value = await this.read();
      if (forgotten === this.#forgotten) this.#answer = { value, readAtMs };
      return value;
    } finally {
      if (forgotten === this.#forgotten) this.#reading = null;
    }
  }
}
