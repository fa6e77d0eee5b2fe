/** A stream of numbers from 0 to 1 that is the same for the same seed (a 32-bit mixer; good enough to draw people from). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** How many of `people` do what each does with the chance `rate`; walks from one to the next. */
export function successes(random: () => number, people: number, rate: number): number {
  const logMiss = Math.log1p(-rate);
  let count = -1;
  for (let place = 0; place <= people; place += 1 + Math.floor(Math.log(1 - random()) / logMiss)) count++;
  return Math.max(0, count);
}
