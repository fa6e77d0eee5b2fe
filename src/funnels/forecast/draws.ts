/**
 * Draws from distributions that come out the same for the same seed (PCG-like mixing of a 32-bit counter), as a forecast
 * that changes with every look would be none. Nothing secret is made from it.
 */
export class Draws {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Above 0 and below 1. */
  uniform(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (((mixed ^ (mixed >>> 16)) >>> 0) + 0.5) / 2 ** 32;
  }

  /** Standard normal (Box and Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Gamma of scale 1 (Marsaglia and Tsang, 2000); `shape` above 0. */
  gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * this.uniform() ** (1 / shape);
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(this.uniform()) < x ** 2 / 2 + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  dirichlet(alphas: readonly number[]): number[] {
    const drawn = alphas.map((alpha) => this.gamma(alpha));
    const sum = drawn.reduce((total, value) => total + value, 0);
    return drawn.map((value) => value / sum);
  }

  /** Exact for up to 64 trials or few expected hits; beyond, normal to the nearest whole number. */
  binomial(trials: number, probability: number): number {
    if (trials <= 0 || probability <= 0) return 0;
    if (probability >= 1) return trials;
    if (probability > 0.5) return trials - this.binomial(trials, 1 - probability);
    if (trials <= 64) {
      let hits = 0;
      for (let trial = 0; trial < trials; trial++) if (this.uniform() < probability) hits++;
      return hits;
    }
    const mean = trials * probability;
    if (mean < 30) return this.rareHits(trials, probability);
    const drawn = Math.round(mean + this.normal() * Math.sqrt(mean * (1 - probability)));
    return Math.min(trials, Math.max(0, drawn));
  }

  /** Exact for a mean up to 30; beyond, normal to the nearest whole number. */
  poisson(mean: number): number {
    if (mean <= 0) return 0;
    if (mean > 30) return Math.max(0, Math.round(mean + this.normal() * Math.sqrt(mean)));
    const least = Math.exp(-mean);
    let hits = 0;
    for (let product = this.uniform(); product > least; product *= this.uniform()) hits++;
    return hits;
  }

  /** How many of `trials` fall to each share; the shares sum to 1. */
  multinomial(trials: number, shares: readonly number[]): number[] {
    let [left, rest] = [trials, 1];
    return shares.map((share, index) => {
      const hits = index === shares.length - 1 ? left : this.binomial(left, rest <= 0 ? 0 : share / rest);
      left -= hits;
      rest -= share;
      return hits;
    });
  }

  /** By the gaps between hits, which are geometric. */
  private rareHits(trials: number, probability: number): number {
    const base = Math.log1p(-probability);
    let hits = 0;
    for (let trial = 0; ; hits++) {
      trial += Math.floor(Math.log(this.uniform()) / base) + 1;
      if (trial > trials) return hits;
    }
  }
}
