import { describe, expect, it } from 'vitest';
import { Draws } from '../../../../src/funnels/forecast/draws.js';

describe('draws', () => {
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const variance = (values: number[]): number => {
    const middle = mean(values);
    return mean(values.map((value) => (value - middle) ** 2));
  };
  const many = (draw: (draws: Draws) => number): number[] => {
    const draws = new Draws(7);
    return Array.from({ length: 20_000 }, () => draw(draws));
  };

  it.each<[string, (draws: Draws) => number, number, number]>([
    ['uniform', (draws) => draws.uniform(), 0.5, 1 / 12],
    ['normal', (draws) => draws.normal(), 0, 1],
    ['gamma of 0.3', (draws) => draws.gamma(0.3), 0.3, 0.3],
    ['gamma of 7', (draws) => draws.gamma(7), 7, 7],
    ['binomial of 20', (draws) => draws.binomial(20, 0.3), 6, 4.2],
    ['binomial of 1,000, rare', (draws) => draws.binomial(1_000, 0.01), 10, 9.9],
    ['binomial of 1,000', (draws) => draws.binomial(1_000, 0.4), 400, 240],
    ['binomial, likely', (draws) => draws.binomial(1_000, 0.99), 990, 9.9],
    ['poisson of 3', (draws) => draws.poisson(3), 3, 3],
    ['poisson of 300', (draws) => draws.poisson(300), 300, 300],
    ['multinomial, last', (draws) => draws.multinomial(100, [0.2, 0.3, 0.5])[2] ?? 0, 50, 25],
    ['dirichlet, first', (draws) => draws.dirichlet([2, 3, 5])[0] ?? 0, 0.2, (0.2 * 0.8) / 11],
  ])('%s has its mean and variance', (_, draw, expectedMean, expectedVariance) => {
    const values = many(draw);
    expect(Math.abs(mean(values) - expectedMean)).toBeLessThan(
      5 * Math.sqrt(expectedVariance / values.length),
    );
    expect(variance(values) / expectedVariance).toBeGreaterThan(0.93);
    expect(variance(values) / expectedVariance).toBeLessThan(1.07);
  });
});
