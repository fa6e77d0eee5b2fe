import { vi } from 'vitest';
import type { FixedClock } from './clock.js';

/** As the process's own counter has it, and the clock with it; until `vi.restoreAllMocks`. */
export function pass(clock: FixedClock, ms: number): void {
  const atMs = performance.now() + ms;
  const sinceMs = process.hrtime.bigint();
  vi.spyOn(performance, 'now').mockImplementation(
    () => atMs + Number(process.hrtime.bigint() - sinceMs) / 1e6,
  );
  clock.advance(ms);
}
