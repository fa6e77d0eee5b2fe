import type { Clock } from '../../src/infra/clock.js';

/** A clock that stands still until the test moves it. Hands out copies, so nobody can move it by accident. */
export class FixedClock implements Clock {
  #nowMs: number;

  constructor(at: Date | string = '2026-03-02T09:00:00Z') {
    this.#nowMs = milliseconds(at);
  }

  now(): Date {
    return new Date(this.#nowMs);
  }

  set(at: Date | string): void {
    this.#nowMs = milliseconds(at);
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }
}

function milliseconds(at: Date | string): number {
  const ms = new Date(at).getTime();
  if (Number.isNaN(ms)) throw new RangeError(`not an instant: ${String(at)}`);
  return ms;
}
