import { setTimeout as sleep } from 'node:timers/promises';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

const HOUR_MS = 3_600_000;

async function nothingUnknown(world: World): Promise<string[]> {
  const { counts } = await world.verdict();
  return expectThat(counts['unknown'] === 0, `${counts['unknown']} unknown without a crash`);
}

export const workerScenarios: readonly Scenario[] = [
  {
    name: 'SIGTERM in the middle, three times',
    covers: 'F2',
    short: true,
    mails: 600,
    run: async (world) => {
      for (let n = 1; n <= 3; n++) {
        const [worker] = await world.start();
        await (n === 1 ? world.release() : world.hurry());
        await world.takenReaches(n * 120);
        const exit = await worker?.stop();
        if (exit?.code !== 0) return [`SIGTERM ended with ${JSON.stringify(exit)}`];
      }
      const left = await world.openRows();
      await world.finish();
      return [
        ...(await nothingUnknown(world)),
        ...expectThat(left.leased === 0, 'SIGTERM left leases behind'),
      ];
    },
  },
  together('two workers at once', 2, 800, true),
  together('eight workers at once', 8, 2_000, false),
  {
    name: 'the same jobs asked for over and over',
    covers: 'F39',
    short: false,
    mails: 600,
    run: async (world) => {
      await world.start(2);
      await world.release();
      while (world.sink.takenTotal < 500) {
        await Promise.all([world.wake(), world.wake(), world.wake()]);
        await sleep(20);
      }
      await world.finish();
      return nothingUnknown(world);
    },
  },
  clockJump('clock of one host jumps an hour ahead', HOUR_MS, true),
  clockJump('clock of one host jumps an hour back', -HOUR_MS, false),
];

function together(name: string, count: number, mails: number, short: boolean): Scenario {
  return {
    name,
    covers: 'F9',
    short,
    mails,
    run: async (world) => {
      await world.start(count);
      await world.release();
      await world.finish();
      return nothingUnknown(world);
    },
  };
}

function clockJump(name: string, shiftMs: number, short: boolean): Scenario {
  return {
    name,
    covers: 'F10',
    short,
    mails: 500,
    run: async (world) => {
      const env = { FAULT_CLOCK_MS: String(shiftMs), FAULT_CLOCK_AFTER_MS: '4000' };
      await world.start(1, { preload: ['shifted-clock'], env });
      await world.start();
      await world.release();
      await world.finish();
      return nothingUnknown(world);
    },
  };
}
