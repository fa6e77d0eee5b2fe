import { describe, expect, it } from 'vitest';
import { ProcessLimits } from '../../../src/infra/rate-limits/process-limits.js';
import { FixedClock } from '../../support/clock.js';

const THREE = { name: 'three', points: 3, seconds: 60 };

describe('what a process counts by itself', () => {
  it('is refused beyond the limit until the window ends, each key by itself', async () => {
    const clock = new FixedClock();
    const limits = new ProcessLimits(clock);
    expect(await limits.take(THREE, 'a', 3)).toEqual({ allowed: true });
    clock.advance(59_001);
    expect(await limits.take(THREE, 'a')).toEqual({ allowed: false, retryAfterSeconds: 1 });
    expect(await limits.take(THREE, 'b')).toEqual({ allowed: true });
    clock.advance(999);
    expect(await limits.take(THREE, 'a')).toEqual({ allowed: true });
  });

  it('takes no memory without end: keys beyond twenty thousand wait for a window that is over', async () => {
    const clock = new FixedClock();
    const limits = new ProcessLimits(clock);
    for (let n = 0; n < 20_000; n++) await limits.take(THREE, String(n));
    expect((await limits.take(THREE, 'one more')).allowed).toBe(false);
    expect((await limits.take(THREE, '7')).allowed).toBe(true);
    clock.advance(60_000);
    expect((await limits.take(THREE, 'one more')).allowed).toBe(true);
  });
});
