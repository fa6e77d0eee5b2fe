import type { Clock } from '../clock.js';
import type { RateLimit, RateLimits, RateLimitVerdict } from './rate-limits.service.js';

/** Some 2 MB. */
const MOST_KEYS = 20_000;
const FULL = { allowed: false, isFull: true, retryAfterSeconds: 60 } as const;

/** `isFull`: whether the limit is reached is not known, as no more keys can be counted. */
type Verdict = RateLimitVerdict | typeof FULL;

/** As `RateLimits`, counted by this process alone: while the database does not count. */
export class ProcessLimits implements Pick<RateLimits, 'take'> {
  readonly #windows = new Map<string, { points: number; endsMs: number }>();

  constructor(private readonly clock: Clock) {}

  async take({ name, points: most, seconds }: RateLimit, key: string, points = 1): Promise<Verdict> {
    const nowMs = this.clock.now().getTime();
    const id = `${name}:${key}`;
    const open = this.#windows.get(id);
    if (open === undefined && this.#windows.size >= MOST_KEYS) this.removeExpired(nowMs);
    if (open === undefined && this.#windows.size >= MOST_KEYS) return FULL;
    const window =
      open !== undefined && open.endsMs > nowMs ? open : { points: 0, endsMs: nowMs + seconds * 1000 };
    window.points += points;
    this.#windows.set(id, window);
    if (window.points <= most) return { allowed: true };
    return { allowed: false, retryAfterSeconds: Math.max(1, Math.ceil((window.endsMs - nowMs) / 1000)) };
  }

  private removeExpired(nowMs: number): void {
    for (const [id, { endsMs }] of this.#windows) if (endsMs <= nowMs) this.#windows.delete(id);
  }
}
