/** Three times what it takes over a mail, and two minutes at most: a mail that is to go by it waits no longer for a lane. */
const PATIENCE = 3;
const LONGEST_PATIENCE_MS = 120_000;
/** Of what a relay took before, so much still counts: one mail in ten may be slow. */
const FADES = 0.9;
/** RFC 5321 §4.5.3.2.6 allows ten minutes for the reply to a mail; one that needs up to this much has its way with all of them. */
const LATE_AS_EVER_MS = 60_000;
/** A relay that took a mail late so long ago may be out by now. */
const KNOWN_FOR_MS = 600_000;

/** How long relays take over the mails that they take, as this process has seen it; by its steady counter. */
export class RelayTimes {
  readonly #tookMs = new Map<string, number>();
  readonly #late = new Map<string, { tookMs: number; atMs: number }>();

  /** `late`: its reply came after half a minute. */
  took(relay: string, tookMs: number, atMs: number, late = false): void {
    this.#tookMs.set(relay, Math.max(tookMs, FADES * (this.#tookMs.get(relay) ?? 0)));
    if (late) this.#late.set(relay, { tookMs, atMs });
  }

  /** So long a mail that is to go by the relay waits for a lane before it goes by another. */
  patienceMs(relay: string): number {
    return Math.min(LONGEST_PATIENCE_MS, PATIENCE * (this.#tookMs.get(relay) ?? 0));
  }

  /** Whether that a mail has waited for half a minute is nothing new: the relay has taken others so late, and not much later. */
  isLateAsEver(relay: string, nowMs: number): boolean {
    const last = this.#late.get(relay);
    return last !== undefined && last.tookMs <= LATE_AS_EVER_MS && nowMs - last.atMs < KNOWN_FOR_MS;
  }
}
