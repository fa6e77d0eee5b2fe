import { domainOf } from '../../values/email-address.js';

/** What one sender's last mails at a relay came to, on a monotonic clock. */
interface Standing {
  takenMs: number;
  /** Of the first refusal for now since then, and the last; null while there is none. */
  trouble: { sinceMs: number; lastMs: number } | null;
}

const NEVER: Standing = { takenMs: Number.NEGATIVE_INFINITY, trouble: null };
/** Longer than the longest pause between two tries of a mail. */
const REMEMBERED_MS = 24 * 3_600_000;

/**
 * Tells the trouble of one sender from that of the relay, which both show as a refusal for now at MAIL FROM: a relay that
 * goes on taking the mails of others works. One for each relay.
 */
export class SenderStandings {
  readonly #bySender = new Map<string, Standing>();

  taken(sender: string, nowMs: number): void {
    this.#bySender.set(sender, { takenMs: nowMs, trouble: null });
  }

  /** Whether any sender of the domain has been refused for now since their last mail was taken. */
  troubles(domain: string): boolean {
    return [...this.#bySender].some(
      ([sender, { trouble }]) => trouble !== null && domainOf(sender) === domain,
    );
  }

  /**
   * `named`: the reply speaks of the sender. Then it is enough that others are in good standing; else they must have got
   * through since the trouble began, as a relay's own may have begun just now. Returns whether it is the sender's alone.
   */
  refused(sender: string, { named, nowMs }: { named: boolean; nowMs: number }): boolean {
    const { takenMs, trouble } = this.#bySender.get(sender) ?? NEVER;
    const goesOn = trouble !== null && nowMs - trouble.lastMs < REMEMBERED_MS;
    const sinceMs = goesOn ? trouble.sinceMs : nowMs;
    this.#bySender.set(sender, { takenMs, trouble: { sinceMs, lastMs: nowMs } });
    const provenMs = named ? nowMs - REMEMBERED_MS : sinceMs;
    return [...this.#bySender.values()].some((other) => other.trouble === null && other.takenMs > provenMs);
  }
}
