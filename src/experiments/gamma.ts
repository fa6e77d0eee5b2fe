/** From here on the series below is exact to 13 places. */
const LARGE = 12;

/** ln Γ(x), x > 0: Stirling's series, after Γ(x) = Γ(x + 1) / x has taken x to where the series is exact. */
export function logGamma(x: number): number {
  let shift = 0;
  let z = x;
  for (; z < LARGE; z++) shift += Math.log(z);
  const square = 1 / (z * z);
  const series =
    (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))) / z;
  return (z - 0.5) * Math.log(z) - z + Math.log(2 * Math.PI) / 2 + series - shift;
}

const PRECISION = 1e-14;
const MOST_TERMS = 10_000;

/** The chance that a chi-square of `degrees` degrees of freedom is at least `value`. */
export function chiSquareTail(value: number, degrees: number): number {
  if (value <= 0) return 1;
  const [a, x] = [degrees / 2, value / 2];
  const scale = Math.exp(a * Math.log(x) - x - logGamma(a));
  return x < a + 1 ? Math.max(0, 1 - scale * lowerSeries(a, x)) : scale * upperFraction(a, x);
}

/** Σ x^n / (a (a+1) … (a+n)): the lower incomplete gamma function without its scale. */
function lowerSeries(a: number, x: number): number {
  let term = 1 / a;
  let sum = term;
  for (let n = 1; n < MOST_TERMS && term > sum * PRECISION; n++) sum += term *= x / (a + n);
  return sum;
}

/** The continued fraction of the upper incomplete gamma function without its scale, by Lentz' method. */
function upperFraction(a: number, x: number): number {
  let b = x + 1 - a;
  let c = Number.MAX_VALUE;
  let d = 1 / b;
  let result = d;
  for (let n = 1; n < MOST_TERMS; n++) {
    const factor = n * (a - n);
    b += 2;
    d = 1 / (factor * d + b);
    c = b + factor / c;
    result *= d * c;
    if (Math.abs(d * c - 1) < PRECISION) break;
  }
  return result;
}
