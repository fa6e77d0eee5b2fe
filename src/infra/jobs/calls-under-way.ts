/** The calls of an object's methods that have not been answered yet, so that somebody can wait for them. */
export class CallsUnderWay {
  readonly #calls = new Set<Promise<unknown>>();

  /** The same object, with its calls counted. */
  counted<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (object, key): unknown => {
        const value: unknown = Reflect.get(object, key, object);
        if (typeof value !== 'function') return value;
        return (...parameters: unknown[]): unknown => {
          const answer: unknown = Reflect.apply(value, object, parameters);
          if (answer instanceof Promise) this.#count(answer);
          return answer;
        };
      },
    });
  }

  /** Also waits for calls that an answer brings about; `timeoutMs` at most. */
  async ended(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let late = false;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        late = true;
        resolve();
      }, timeoutMs);
    });
    while (this.#calls.size > 0 && !late) await Promise.race([Promise.allSettled(this.#calls), timeout]);
    clearTimeout(timer);
  }

  #count(answer: Promise<unknown>): void {
    this.#calls.add(answer);
    const forget = (): void => void this.#calls.delete(answer);
    answer.then(forget, forget);
  }
}
