import { afterEach, describe, expect, it, vi } from 'vitest';
import { AfterWork } from '../../../src/tracking/after-work.service.js';

/** From here on time passes when a test says so. */
const stopTime = (): void => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
};

/** Takes this long, as a statement takes the database. */
const work = async (ms: number): Promise<void> => {
  vi.advanceTimersByTime(ms);
};

const hanging = async (): Promise<never> => new Promise(() => undefined);

afterEach(() => {
  vi.useRealTimers();
});

describe('the work behind the answers', () => {
  it('is done one piece at a time, in the order it came, whether a piece fails or not', async () => {
    const lane = new AfterWork();
    const order: string[] = [];
    const piece = async (name: string): Promise<string> =>
      lane.run(async () => {
        order.push(`${name} begins`);
        await Promise.resolve();
        order.push(`${name} ends`);
        if (name === 'b') throw new Error('no');
        return name;
      });
    expect(lane.free).toBe(true);
    const done = Promise.allSettled(['a', 'b', 'c'].map(piece));
    expect(lane.free).toBe(false);
    expect((await done).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(order).toEqual(['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]));
    expect(lane.free).toBe(true);
  });

  it('rests in a rush for nineteen times as long as it took, and at no other time', async () => {
    stopTime();
    const lane = new AfterWork();
    lane.arrived(499);
    await lane.run(() => work(10));
    expect(lane.free).toBe(true);
    lane.arrived(500);
    await lane.run(() => work(10));
    expect(lane.free).toBe(false);
    let begun = false;
    const next = lane.run(async () => {
      begun = true;
    });
    await vi.advanceTimersByTimeAsync(189);
    expect(begun).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await next;
    expect(begun).toBe(true);
  });

  it('does not rest when the disk is half full of hits, or the process is about to end', async () => {
    stopTime();
    const lane = new AfterWork();
    lane.arrived(1_000);
    lane.haste = 1;
    await lane.run(() => work(10));
    expect(lane.free).toBe(true);
    lane.haste = 0;
    lane.arrived(1_000);
    await lane.run(() => work(10));
    expect(lane.free).toBe(false);
    lane.hurry();
    expect(lane.free).toBe(true);
    await lane.run(() => work(10));
    expect(lane.free).toBe(true);
  });

  it('rests the less the more haste there is, down to not at all', async () => {
    stopTime();
    const lane = new AfterWork();
    const restMs = async (haste: number): Promise<number> => {
      lane.haste = haste;
      lane.arrived(1_000);
      await lane.run(() => work(20));
      let ms = 0;
      for (; !lane.free; ms++) vi.advanceTimersByTime(1);
      return ms;
    };
    const rests: number[] = [];
    for (const haste of [-Infinity, 0, 0.25, 0.5, 0.75, 1, 2]) rests.push(await restMs(haste));
    expect(rests).toEqual([380, 380, 285, 190, 95, 0, 0]);
  });

  it('goes on after ten seconds when a piece hangs, and the hanging one fails', async () => {
    stopTime();
    const lane = new AfterWork();
    const hung = lane.run(hanging).catch((error: unknown) => String(error));
    const next = lane.run(async () => 'done');
    await vi.advanceTimersByTimeAsync(9_999);
    expect(lane.free).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await hung).toContain('no end within 10000 ms');
    expect(await next).toBe('done');
    expect(lane.free).toBe(true);
  });

  it('waits for no hanging piece when the process is about to end', async () => {
    const lane = new AfterWork();
    const hung = [lane.run(hanging)];
    const waiting = lane.run(async () => 'done');
    lane.hurry();
    expect(await waiting).toBe('done');
    hung.push(lane.run(hanging));
    expect(await lane.run(async () => 'done too')).toBe('done too');
    // They fail in ten seconds, when nobody here listens any more.
    for (const one of hung) one.catch(() => undefined);
  });
});
