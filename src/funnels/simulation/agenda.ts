/** What is to be done at which time; at one time in the order in which it was added. */
export class Agenda {
  #entries: { at: Date; act: () => void }[] = [];

  add(at: Date, act: () => void): void {
    const place = this.#entries.findIndex((entry) => entry.at > at);
    this.#entries.splice(place < 0 ? this.#entries.length : place, 0, { at, act });
  }

  nextAt(): Date | null {
    return this.#entries[0]?.at ?? null;
  }

  doAll(now: Date): void {
    for (let entry = this.#entries[0]; entry !== undefined && entry.at <= now; entry = this.#entries[0]) {
      this.#entries.shift();
      entry.act();
    }
  }
}

export function earliest(times: readonly (Date | null)[]): Date | null {
  return times.reduce((first, at) => (at !== null && (first === null || at < first) ? at : first), null);
}
