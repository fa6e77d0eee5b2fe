import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QueueMeter, recovered, slowed } from '../../../../src/delivery/pacing/slow-down.js';

const START = Date.parse('2026-03-02T09:00:00Z');

describe('going slower and faster', () => {
  it('halves the pace after a 421 and takes less off after a 451', () => {
    const pace = { ratePerSecond: 100, factor: 0.8 };
    expect(slowed(pace, 421)).toEqual({ ratePerSecond: 80, factor: 0.5 });
    expect(slowed(pace, 451)).toEqual({ ratePerSecond: 80, factor: 0.7 });
  });

  it('never stands still', () => {
    let pace = { ratePerSecond: 50, factor: 1 };
    for (let step = 0; step < 100; step++) pace = slowed(pace, 421);
    expect(pace.ratePerSecond * pace.factor).toBeCloseTo(0.2);
  });

  it('is near the known limit within half a minute, then feels its way up and forgets the limit in the end', () => {
    let [pace, seconds] = [slowed({ ratePerSecond: 100, factor: 1 }, 421), 0];
    while (pace.factor < 0.94) [pace, seconds] = [recovered(pace, 1) ?? pace, seconds + 1];
    expect(seconds).toBeLessThan(30);
    let next: ReturnType<typeof recovered> = pace;
    while (next !== null) [next, seconds] = [recovered(next, 10), seconds + 10];
    expect(seconds / 60).toBeGreaterThan(10);
    expect(seconds / 60).toBeLessThan(15);
  });

  it('goes up and never down by recovering, however the seconds are cut', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 7.8, noNaN: true }),
        fc.double({ min: -5, max: 10, noNaN: true }),
        (factor, seconds) => {
          const whole = recovered({ ratePerSecond: 1, factor }, seconds);
          expect(whole?.factor ?? 8).toBeGreaterThanOrEqual(factor);
          const half = recovered({ ratePerSecond: 1, factor }, seconds / 2);
          const twice = half && recovered(half, seconds / 2);
          expect(twice?.factor ?? 8).toBeCloseTo(whole?.factor ?? 8);
        },
      ),
    );
  });
});

describe('telling a storm from greylisting', () => {
  it('takes two refusals for now as they come', () => {
    const meter = new QueueMeter();
    expect(meter.throttled(START)).toBe(false);
    expect(meter.throttled(START + 1)).toBe(false);
    expect(meter.throttled(START + 2)).toBe(true);
  });

  it('takes one in fifty for the receiver’s habit', () => {
    const meter = new QueueMeter();
    const steps = Array.from({ length: 40 }, (_, index) => {
      meter.accepted(50, START + index * 1_000);
      return meter.throttled(START + index * 1_000);
    });
    expect(steps).not.toContain(true);
  });

  it('hears a receiver that has taken mails for an hour: it had to refuse one in twenty of all it ever took', () => {
    const meter = new QueueMeter();
    for (let second = 0; second < 3_600; second++) meter.accepted(100, START + second * 1_000);
    const steps = Array.from({ length: 600 }, (_, index) => meter.throttled(START + 3_600_000 + index * 10));
    expect(steps).toContain(true);
  });

  it('steps down once for all the answers to mails that were on their way', () => {
    const meter = new QueueMeter();
    const steps = Array.from({ length: 64 }, (_, index) => meter.throttled(START + index * 10));
    expect(steps.filter(Boolean)).toHaveLength(1);
  });

  it('forgets what was a minute ago', () => {
    const meter = new QueueMeter();
    meter.throttled(START);
    meter.throttled(START);
    expect(meter.throttled(START + 61_000)).toBe(false);
  });

  it('was deaf for thirty days when its clock was put back by as many, and counted what was taken then', () => {
    const meter = new QueueMeter();
    const ahead = START + 30 * 86_400_000;
    meter.accepted(10, ahead);
    expect([0, 1, 2].map((nth) => meter.throttled(ahead + nth))).toEqual([false, false, true]);
    meter.accepted(5, START);
    expect(meter.ratePerSecond(START)).toBe(5);
    expect([0, 1, 2].map((nth) => meter.throttled(START + nth))).toEqual([false, false, true]);
  });

  it('measures the pace of the last ten seconds', () => {
    const meter = new QueueMeter();
    for (let second = 0; second < 60; second++)
      meter.accepted(second < 45 ? 100 : 10, START + second * 1_000);
    expect(meter.ratePerSecond(START + 59_999)).toBeCloseTo(10);
    const young = new QueueMeter();
    young.accepted(6, START);
    young.accepted(6, START + 1_500);
    expect(young.ratePerSecond(START + 2_000)).toBe(6);
  });
});
