import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerProcess } from '../../support/worker-process.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

const HOUR_MS = 3_600_000;
const JUMPS_AFTER_MS = 4_000;

async function nothingUnknown(world: World): Promise<string[]> {
  const { counts } = await world.verdict();
  return expectThat(counts['unknown'] === 0, `${counts['unknown']} unknown without a crash`);
}

export const workerScenarios: readonly Scenario[] = [
  {
    name: 'SIGTERM in the middle, three times',
    covers: 'F2',
    short: false,
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
  {
    name: 'two workers, kill -9 of the one that holds the tick, ticks alone',
    covers: 'F1 F9',
    short: false,
    mails: 600,
    run: async (world) => {
      await world.start(2);
      await world.release();
      await world.takenReaches(30);
      const holder = await killTickHolder(world);
      return [...expectThat(holder, 'no worker held the tick'), ...(await goesOnByTicks(world))];
    },
  },
  {
    name: 'host whose clock is an hour ahead gets kill -9, the other goes on by ticks alone',
    covers: 'F1 F10',
    short: false,
    mails: 300,
    run: async (world) => {
      await world.start(1, { preload: ['shifted-clock'], env: { FAULT_CLOCK_MS: String(HOUR_MS) } });
      // It has set its hour into the job store.
      await sleep(6_000);
      const [ahead] = world.live;
      await world.start();
      await world.sql(
        `update message set due_at = clock_timestamp() + interval '5 seconds' where state = 'ready'`,
      );
      await ahead?.kill();
      return goesOnByTicks(world);
    },
  },
  clockJump('clock of one host jumps an hour ahead', HOUR_MS, false),
  clockJump('clock of one host jumps an hour back', -HOUR_MS, false),
];

/** Everything waits for a few seconds, so that no run is under way by a wake-up, and then its holder dies in a tick. */
async function killTickHolder(world: World): Promise<boolean> {
  const held = async (): Promise<WorkerProcess | undefined> => {
    const [row] = await world.sql<{ owner: string }>(
      `select last_modified_by as owner from agenda_jobs where name = 'delivery.send-due' and locked_at is not null`,
    );
    return world.live.find(({ pid }) => row?.owner.includes(`-${pid}-`));
  };
  return comesTrue(async () => {
    await world.sql(
      `update message set due_at = clock_timestamp() + interval '6 seconds' where state = 'ready'`,
    );
    const holder = await held();
    await holder?.kill();
    return holder !== undefined;
  });
}

/** Nobody is woken: what is due goes out because a tick finds it. */
async function goesOnByTicks(world: World): Promise<string[]> {
  const taken = world.sink.takenTotal;
  const goesOn = await comesTrue(async () => world.sink.takenTotal > taken + 100);
  await world.finish();
  return expectThat(goesOn, 'nothing went out by ticks alone');
}

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

/**
 * A tenth is due in half an hour and a tenth is of use for half an hour more: an hour of one host's makes neither so. Only
 * that host works while that shows.
 */
function clockJump(name: string, shiftMs: number, short: boolean): Scenario {
  return {
    name,
    covers: 'F10',
    short,
    mails: 500,
    run: async (world) => {
      const env = { FAULT_CLOCK_MS: String(shiftMs), FAULT_CLOCK_AFTER_MS: String(JUMPS_AFTER_MS) };
      const jumped = sleep(JUMPS_AFTER_MS + 1_000);
      await world.start(1, { preload: ['shifted-clock'], env });
      await jumped;
      await world.sql(
        `update message set due_at = clock_timestamp() + case when id % 10 = 0 then interval '30 minutes' else '0' end,
           expires_at = case when id % 10 = 1 then clock_timestamp() + interval '30 minutes' end where state = 'ready'`,
      );
      const [row] = await world.sql<{ due: number }>(
        `select count(*)::int as due from message where id % 10 <> 0 and state = 'ready'`,
      );
      await world.wake();
      await world.takenReaches(row?.due ?? 0);
      for (let look = 0; look < 6; look++) {
        await world.wake();
        await sleep(500);
      }
      const early = world.sink.takenTotal - (row?.due ?? 0);
      await world.start();
      await world.finish();
      const { counts } = await world.verdict();
      return [
        ...expectThat(early === 0, `${early} went half an hour too early`),
        ...expectThat(counts['expired'] === 0, `${counts['expired']} expired half an hour too early`),
        ...(await nothingUnknown(world)),
      ];
    },
  };
}
