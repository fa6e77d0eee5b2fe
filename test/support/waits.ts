import { vi } from 'vitest';

export interface Waits {
  /** How many timers of that length were set since. */
  count(ms: number): number;
  /** Their time passes, for those of that length alone. */
  pass(ms: number): void;
  end(): void;
}

/** Timers run as ever, and end at once when a test says so: minutes need not be waited for. */
export function waits(): Waits {
  const spy = vi.spyOn(globalThis, 'setTimeout');
  const of = (ms: number): (() => void)[] =>
    spy.mock.calls.flatMap(([run, length]) => (length === ms ? [run as () => void] : []));
  return {
    count: (ms) => of(ms).length,
    pass: (ms) => {
      for (const run of of(ms)) run();
    },
    end: () => spy.mockRestore(),
  };
}
