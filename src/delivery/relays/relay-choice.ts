/** Connections to a relay at the same time unless SMTP_URL says otherwise. */
export const DEFAULT_LANES = 32;

/** What the choice needs to know of a relay. */
export interface Candidate {
  name: string;
  /** Share of the mails; 0 stands by until no other is usable. */
  weight: number;
  /** Its breaker is closed. */
  usable: boolean;
}

/**
 * One of the usable relays, as often as its weight says; `chance` is from 0 up to but not including 1, and the same
 * chance among the same candidates gives the same relay. Null when none is usable.
 */
export function chooseRelay<T extends Candidate>(relays: readonly T[], chance: number): T | null {
  const usable = relays.filter((relay) => relay.usable);
  const weighted = usable.filter(({ weight }) => weight > 0);
  const pool = weighted.length > 0 ? weighted : usable.map((relay) => ({ ...relay, weight: 1 }));
  const total = pool.reduce((sum, { weight }) => sum + weight, 0);
  let left = chance * total;
  for (const { name, weight } of pool) {
    left -= weight;
    if (left < 0) return usable.find((relay) => relay.name === name) ?? null;
  }
  return usable.find(({ name }) => name === pool.at(-1)?.name) ?? null;
}
