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
/** A single 451 wants patience with one recipient and not a slower pace. */
const STORM_COUNT = 3;
const STORM_SHARE = 0.05;
const FORGET_MS = 60_000;

/** So many domains are kept in mind; of more, those that have refused nothing are forgotten. */
const MOST_DOMAINS = 20_000;
const DOMAINS_A_LOOK = 1_000;
/** Counts are halved so often: a receiver that has taken a million mails need not refuse thousands before it is heard. */
const HALVED_EVERY_MS = 30_000;

interface Seen {
  accepted: number;
  throttled: number;
}

/** Who is to go slower: the whole queue, or receivers of it, each with its share of what the queue had accepted. */
type Storm = { of: 'queue' } | { of: 'receivers'; receivers: { name: string; share: number }[] } | null;

/** What one process has seen of one queue: its pace, and whether refusals for now have become a storm. */
export class QueueMeter {
  readonly #slots: { atMs: number; accepted: number }[] = [];
  #seen: Seen = { accepted: 0, throttled: 0 };
  #refusals = 0;
  readonly #byDomain = new Map<string, Seen>();
  #lastEventMs = Number.NEGATIVE_INFINITY;
  #lastStepMs = Number.NEGATIVE_INFINITY;
  #halvedMs = Number.NaN;
  #sinceMs = Number.NaN;

  /** `domain`: of the recipients, in a queue that many receivers share. */
  accepted(count: number, nowMs: number, domain?: string): void {
    this.#notice(nowMs);
    this.#count({ accepted: count, throttled: 0 }, domain);
    const last = this.#slots.at(-1);
    if (last && nowMs - last.atMs < SLOT_MS) last.accepted += count;
    else this.#slots.push({ atMs: nowMs, accepted: count });
    while ((this.#slots[0]?.atMs ?? nowMs) <= nowMs - WINDOW_MS) this.#slots.shift();
  }

  /** Counts a 421 or 45x; true when it is time for a step down of the queue. */
  throttled(nowMs: number): boolean {
    this.refused(nowMs);
    return this.storm(nowMs, (domain) => domain)?.of === 'queue';
  }

  /** Counts a 421 or 45x; true when it is worth asking whose storm it is. With very many domains that is not at each one. */
  refused(nowMs: number, domain?: string): boolean {
    this.#notice(nowMs);
    this.#count({ accepted: 0, throttled: 1 }, domain);
    this.#refusals++;
    const every = Math.max(1, Math.ceil(this.#byDomain.size / DOMAINS_A_LOOK));
    return this.#seen.throttled >= STORM_COUNT && this.#refusals % every === 0;
  }

  /** Those of which must be known whose they are before a storm is judged. */
  get domains(): string[] {
    return [...this.#byDomain.keys()];
  }

  /**
   * Whose storm it is. Receivers alone are to blame while the others take their mails as ever; where all refuse, or nobody
   * else is there to tell by, it is the queue: the relay itself may be what asks for less. Names at most `room` receivers,
   * those that refuse most; without room they count with all others, so that one small receiver slows down nobody else.
   * What it answers with is forgotten here: the caller has to act on it.
   */
  storm(nowMs: number, receiverOf: (domain: string) => string, room = Number.POSITIVE_INFINITY): Storm {
    if (this.#seen.throttled < STORM_COUNT) return null;
    const groups = new Map<string, Seen & { domains: string[] }>();
    for (const [domain, { accepted, throttled }] of this.#byDomain) {
      const name = receiverOf(domain);
      const group = groups.get(name) ?? { accepted: 0, throttled: 0, domains: [] };
      group.accepted += accepted;
      group.throttled += throttled;
      group.domains.push(domain);
      groups.set(name, group);
    }
    const stormy = [...groups].filter(([, group]) => isStorm(group));
    const named = stormy.toSorted(([, one], [, other]) => other.throttled - one.throttled).slice(0, room);
    const rest = without(this.#seen, stormy);
    if (named.length > 0 && rest.accepted >= 1 && !isStorm(rest)) {
      const all = Math.max(1, this.#seen.accepted);
      this.#seen = without(this.#seen, named);
      for (const [, { domains }] of named) for (const domain of domains) this.#byDomain.delete(domain);
      return {
        of: 'receivers',
        receivers: named.map(([name, { accepted }]) => ({ name, share: accepted / all })),
      };
    }
    if (!isStorm(this.#seen) || nowMs - this.#lastStepMs < STEP_PAUSE_MS) return null;
    this.#lastStepMs = nowMs;
    this.#forget();
    return { of: 'queue' };
  }

  /** Mails a second that were accepted in the last ten seconds, or in the shorter time since the first was seen. */
  ratePerSecond(nowMs: number): number {
    const inside = this.#slots.filter(({ atMs }) => atMs > nowMs - WINDOW_MS);
    const accepted = inside.reduce((sum, slot) => sum + slot.accepted, 0);
    const spanMs = Math.min(WINDOW_MS, Math.max(SLOT_MS, nowMs - this.#sinceMs));
    return accepted / (spanMs / 1000);
  }

  #count({ accepted, throttled }: Seen, domain: string | undefined): void {
    this.#seen.accepted += accepted;
    this.#seen.throttled += throttled;
    if (domain === undefined) return;
    const own = this.#byDomain.get(domain);
    if (own) {
      own.accepted += accepted;
      own.throttled += throttled;
      return;
    }
    if (this.#byDomain.size >= MOST_DOMAINS)
      for (const [name, seen] of this.#byDomain) if (seen.throttled === 0) this.#byDomain.delete(name);
    if (this.#byDomain.size < MOST_DOMAINS) this.#byDomain.set(domain, { accepted, throttled });
  }

  #notice(nowMs: number): void {
    // Of a clock that was ahead: no queue would go slower until then.
    if (nowMs < this.#lastEventMs - FORGET_MS) {
      this.#slots.length = 0;
      this.#lastStepMs = Number.NEGATIVE_INFINITY;
    }
    if (!(Math.abs(nowMs - this.#lastEventMs) <= FORGET_MS)) {
      this.#forget();
      this.#sinceMs = nowMs;
      this.#halvedMs = nowMs;
    }
    this.#lastEventMs = nowMs;
    if (nowMs - this.#halvedMs < HALVED_EVERY_MS) return;
    this.#halvedMs = nowMs;
    for (const seen of [this.#seen, ...this.#byDomain.values()]) {
      seen.accepted /= 2;
      seen.throttled /= 2;
    }
  }

  #forget(): void {
    this.#seen = { accepted: 0, throttled: 0 };
    this.#byDomain.clear();
  }
}

function without({ accepted, throttled }: Seen, groups: readonly [string, Seen][]): Seen {
  const sum = (field: keyof Seen): number => groups.reduce((total, [, group]) => total + group[field], 0);
  return { accepted: accepted - sum('accepted'), throttled: throttled - sum('throttled') };
}

function isStorm({ accepted, throttled }: Seen): boolean {
  return throttled >= STORM_COUNT && throttled / (throttled + accepted) >= STORM_SHARE;
}
