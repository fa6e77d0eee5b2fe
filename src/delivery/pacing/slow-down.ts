/**
 * Finding the pace a receiver bears (additive increase, multiplicative decrease, as TCP does it). `ratePerSecond` is
 * the pace at which it last said "less"; `factor` times it is the pace now.
 */
export interface Pace {
  ratePerSecond: number;
  factor: number;
}

/** 421 closes the door, 45x asks for patience. */
const FACTOR_AFTER_421 = 0.5;
const FACTOR_AFTER_OTHERS = 0.7;
/** One mail in five seconds: slow enough for anybody, and fast enough to notice when the receiver is content again. */
const SLOWEST_PER_SECOND = 0.2;
/** Back to just below the known limit within half a minute, then feeling the way up, a hundredth of it each second. */
const NEAR_LIMIT = 0.95;
const FAST_PER_SECOND = 0.02;
const SLOW_PER_SECOND = 0.01;
/** As far above the pace of the last complaint the limit is forgotten. */
const FORGOTTEN_AT = 8;
/** Mails sent after a pause say nothing about the seconds of the pause. */
const MOST_SECONDS_AT_ONCE = 10;

/** One step down from the pace of this moment. */
export function slowed({ ratePerSecond, factor }: Pace, code: number): Pace {
  const now = Math.max(SLOWEST_PER_SECOND, ratePerSecond * factor);
  const wanted = code === 421 ? FACTOR_AFTER_421 : FACTOR_AFTER_OTHERS;
  return { ratePerSecond: now, factor: Math.max(wanted, Math.min(1, SLOWEST_PER_SECOND / now)) };
}

/** After `seconds` in which mails were accepted; null when the limit lies so far back that it is forgotten. */
export function recovered({ ratePerSecond, factor }: Pace, seconds: number): Pace | null {
  let left = Math.min(MOST_SECONDS_AT_ONCE, Math.max(0, seconds));
  let grown = factor;
  if (grown < NEAR_LIMIT) {
    const needed = Math.min(left, (NEAR_LIMIT - grown) / FAST_PER_SECOND);
    grown += needed * FAST_PER_SECOND;
    left -= needed;
  }
  grown += left * SLOW_PER_SECOND;
  return grown >= FORGOTTEN_AT ? null : { ratePerSecond, factor: grown };
}

const WINDOW_MS = 10_000;
const SLOT_MS = 1_000;
/** Between two steps down: answers to mails of before the first step must not cause the second. */
export const STEP_PAUSE_MS = 5_000;
/** A single 451 is greylisting, which wants patience with one recipient and not a slower pace. */
const STORM_COUNT = 3;
const STORM_SHARE = 0.05;
const FORGET_MS = 60_000;

/** What one process has seen of one lane: its pace, and whether refusals for now have become a storm. */
export class LaneMeter {
  readonly #slots: { atMs: number; accepted: number }[] = [];
  #accepted = 0;
  #throttled = 0;
  #lastEventMs = Number.NEGATIVE_INFINITY;
  #lastStepMs = Number.NEGATIVE_INFINITY;
  #sinceMs = Number.NaN;

  accepted(count: number, nowMs: number): void {
    this.#notice(nowMs);
    this.#accepted += count;
    const last = this.#slots.at(-1);
    if (last && nowMs - last.atMs < SLOT_MS) last.accepted += count;
    else this.#slots.push({ atMs: nowMs, accepted: count });
    while ((this.#slots[0]?.atMs ?? nowMs) <= nowMs - WINDOW_MS) this.#slots.shift();
  }

  /** Counts a 421 or 45x; true when it is time for a step down. */
  throttled(nowMs: number): boolean {
    this.#notice(nowMs);
    this.#throttled++;
    const share = this.#throttled / (this.#throttled + this.#accepted);
    if (this.#throttled < STORM_COUNT || share < STORM_SHARE) return false;
    if (nowMs - this.#lastStepMs < STEP_PAUSE_MS) return false;
    this.#lastStepMs = nowMs;
    this.#throttled = 0;
    this.#accepted = 0;
    return true;
  }

  /** Mails a second that were accepted in the last ten seconds, or in the shorter time since the first was seen. */
  ratePerSecond(nowMs: number): number {
    const inside = this.#slots.filter(({ atMs }) => atMs > nowMs - WINDOW_MS);
    const accepted = inside.reduce((sum, slot) => sum + slot.accepted, 0);
    const spanMs = Math.min(WINDOW_MS, Math.max(SLOT_MS, nowMs - this.#sinceMs));
    return accepted / (spanMs / 1000);
  }

  #notice(nowMs: number): void {
    if (!(nowMs - this.#lastEventMs <= FORGET_MS)) {
      this.#accepted = 0;
      this.#throttled = 0;
      this.#sinceMs = nowMs;
    }
    this.#lastEventMs = nowMs;
  }
}
