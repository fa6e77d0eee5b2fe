/** Injection token of {@link Clock}. */
export const CLOCK = Symbol('Clock');

/** The only source of "now" outside `src/infra`: a funnel of ninety days is tested by moving it. */
export interface Clock {
  now(): Date;
}

const LEAST_STEP_MS = 100;

/**
 * The system's time, or the database's once that is known, plus an offset. The offset is 0 except in demo mode, where a newcomer skips ahead; it only
 * ever grows, because rows already carry the later instants. Keeping it across restarts is the caller's task.
 */
export class SystemClock implements Clock {
  #offsetMs: number;
  #followed: { epochMs: number; atMs: number } | null = null;

  /** @param offsetMs milliseconds ahead of the system's time, as kept from an earlier run; not negative. */
  constructor(offsetMs = 0) {
    this.#offsetMs = atLeast(0, offsetMs);
  }

  /** Milliseconds this clock is ahead of the system's time. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  now(): Date {
    return new Date(this.#systemMs() + this.#offsetMs);
  }

  /**
   * At this moment it is `epochMs`, whatever the clock of this machine says; from here on the process's own steady counter
   * is added, which nobody can set. Steps that are no more than the time a question takes are not made.
   */
  follow(epochMs: number): void {
    if (this.#followed !== null && Math.abs(epochMs - this.#systemMs()) < LEAST_STEP_MS) return;
    this.#followed = { epochMs, atMs: performance.now() };
  }

  #systemMs(): number {
    return this.#followed === null
      ? Date.now()
      : this.#followed.epochMs + performance.now() - this.#followed.atMs;
  }

  /** Makes `instant` the present. An instant that has already passed changes nothing. */
  moveForwardTo(instant: Date): void {
    this.#offsetMs = atLeast(this.#offsetMs, instant.getTime() - this.#systemMs());
  }

  /** Takes over an offset that another process or an earlier run has kept; a smaller one changes nothing. */
  restoreOffset(offsetMs: number): void {
    this.#offsetMs = atLeast(this.#offsetMs, offsetMs);
  }
}

function atLeast(currentMs: number, wantedMs: number): number {
  if (!Number.isFinite(wantedMs))
    throw new RangeError('a clock offset must be a finite number of milliseconds');
  return Math.max(currentMs, wantedMs);
}
