import { describe, expect, it } from 'vitest';
import { CallsUnderWay } from '../../../../src/infra/jobs/calls-under-way.js';

const LONG_MS = 3_600_000;

describe('the wait for calls under way, before the connection behind them is closed', () => {
  /** A store whose answers come when the test says so. */
  const store = {
    held: [] as ((fails: boolean) => void)[],
    async lock(name: string): Promise<string> {
      return new Promise((resolve, reject) =>
        this.held.push((fails) => (fails ? reject(new Error(name)) : resolve(name))),
      );
    },
    name: 'a store',
  };
  const turn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('ends when all are answered, and those they bring about, whatever the answers are', async () => {
    const calls = new CallsUnderWay();
    const counted = calls.counted(store);
    const first = counted.lock('first').then(async () => counted.lock('second'));
    const failing = counted.lock('failing');
    let ended = false;
    const wait = calls.ended(LONG_MS).then(() => (ended = true));
    store.held.shift()?.(false);
    await turn();
    store.held.shift()?.(true);
    await expect(failing).rejects.toThrow('failing');
    await turn();
    expect(ended).toBe(false);
    store.held.shift()?.(false);
    expect(await first).toBe('second');
    await wait;
  });

  it('ends at once when there are none, and when its time is up', async () => {
    const calls = new CallsUnderWay();
    const counted = calls.counted(store);
    expect(counted.name).toBe('a store');
    await calls.ended(LONG_MS);
    void counted.lock('never');
    await calls.ended(1);
  });
});
