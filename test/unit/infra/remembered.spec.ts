import { describe, expect, it } from 'vitest';
import { Remembered } from '../../../src/infra/remembered.js';

/** Reads that end when they are told to. */
function reads(): { read: () => Promise<number>; end: ((value: number) => void)[]; fail: (() => void)[] } {
  const end: ((value: number) => void)[] = [];
  const fail: (() => void)[] = [];
  const read = async (): Promise<number> =>
    new Promise((resolve, reject) => {
      end.push(resolve);
      fail.push(() => reject(new Error('away')));
    });
  return { read, end, fail };
}

describe('Remembered', () => {
  it('reads once for all who ask at the same time, and once more when the answer is too old', async () => {
    const { read, end } = reads();
    const remembered = new Remembered(read, 1e9);
    const asked = [remembered.get(), remembered.get(), remembered.get()];
    expect(end).toHaveLength(1);
    end[0]?.(7);
    expect(await Promise.all(asked)).toEqual([7, 7, 7]);
    expect(await remembered.get()).toBe(7);
    expect(remembered.last).toBe(7);
    const fleeting = new Remembered(read, -1);
    const first = fleeting.get();
    end[1]?.(1);
    await first;
    const second = fleeting.get();
    expect(end).toHaveLength(3);
    end[2]?.(2);
    expect(await second).toBe(2);
  });

  it('does not remember a read that began before a change', async () => {
    const { read, end } = reads();
    const remembered = new Remembered(read, 1e9);
    const before = remembered.get();
    remembered.forget();
    const after = remembered.get();
    expect(end).toHaveLength(2);
    end[1]?.(2);
    expect(await after).toBe(2);
    end[0]?.(1);
    expect(await before).toBe(1);
    expect(await remembered.get()).toBe(2);
  });

  it('tries again after a read that failed', async () => {
    const { read, end, fail } = reads();
    const remembered = new Remembered(read, 1e9);
    const lost = remembered.get();
    fail[0]?.();
    await expect(lost).rejects.toThrow('away');
    expect(remembered.last).toBeNull();
    const again = remembered.get();
    end[1]?.(3);
    expect(await again).toBe(3);
  });
});
