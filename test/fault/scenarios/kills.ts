import { setTimeout as sleep } from 'node:timers/promises';
import type { SinkStage } from '../../support/counting-sink.js';
import { comes, comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { DELIVERY_POINTS } from '../../../src/delivery/ledger/fault-points.js';

const STAGES: readonly SinkStage[] = ['mail', 'rcpt', 'data', 'body', 'dot'];

/** Each point on its own in the long form; in the short one all after one another, on one ledger. */
export function killScenarios(short: boolean): Scenario[] {
  const chain: Scenario = {
    name: 'kill -9 at all named points',
    covers: 'F1',
    short: true,
    mails: 600,
    run: async (world, seed) => killAtPoints(world, DELIVERY_POINTS, seed),
  };
  const single = DELIVERY_POINTS.map((point): Scenario => ({
    name: `kill -9 at ${point}`,
    covers: 'F1',
    short: false,
    run: async (world, seed) => killAtPoints(world, [point, point], seed),
  }));
  return [...(short ? [chain] : single), ...others];
}

const others: readonly Scenario[] = [
  {
    name: 'kill -9 as the relay sees each command',
    covers: 'F1',
    short: false,
    mails: 400,
    run: async (world) => {
      for (const stage of STAGES) {
        const [worker] = await world.start();
        const hit = world.sink.hits[stage] + 5 + Math.floor(world.random() * 20);
        world.sink.onStage = async (facts) => {
          if (facts.stage === stage && facts.hit >= hit) await worker?.kill();
        };
        await world.release();
        await world.hurry();
        await worker?.exited;
        world.sink.onStage = null;
        await world.ageLeases();
      }
      await world.finish();
    },
  },
  {
    name: 'kill -9 with a claim, a barrier, an end on its way to the database',
    covers: 'F1',
    short: false,
    mails: 400,
    run: async (world) => {
      for (const statement of ['ledger-claim', 'ledger-write'])
        for (const moment of ['sent', 'committed'] as const) {
          const [worker] = await world.start();
          // One claim takes a few hundred mails; a second is not sure to come.
          const hit = statement === 'ledger-claim' ? 1 : 1 + Math.floor(world.random() * 6);
          world.proxy.statementFault = { statement, moment, hit, act: () => worker?.signal('SIGKILL') };
          await (world.sink.takenTotal === 0 ? world.release() : world.hurry());
          await comes(worker?.exited);
          await worker?.stop();
          await world.ageLeases();
        }
      await world.finish();
      return expectThat((await world.kills()) >= 4, 'not every kill was made');
    },
  },
  {
    name: 'started again after kill -9, nothing else happens',
    covers: 'F1',
    short: false,
    mails: 1_500,
    run: async (world) => {
      await world.start();
      await world.release();
      await world.takenReaches(30);
      // For the worker that comes next, however fast this one is.
      await world.sql(
        `update message set due_at = clock_timestamp() + interval '1 hour'
         where id in (select id from message where state = 'ready' order by id desc limit 100)`,
      );
      // A tick has its lock in the job store when the process ends.
      await sleep(4_000);
      await world.sql(
        `update message set due_at = clock_timestamp() + interval '1 second' where state = 'ready'`,
      );
      await world.killAll();
      const taken = world.sink.takenTotal;
      await world.start();
      const goesOn = await comesTrue(async () => world.sink.takenTotal > taken);
      await world.finish();
      return expectThat(goesOn, 'the new worker sent nothing for a minute');
    },
  },
  randomKills({ name: 'kill -9 at random, one worker', kills: 3, workers: 1, mails: 600, short: true }),
  randomKills({ name: 'kill -9 at random, two workers', kills: 4, workers: 2, mails: 2_000, short: false }),
  randomKills({ name: 'kill -9 at random x12', kills: 12, workers: 1, mails: 2_000, short: false }),
  killedWithoutDatabase('database away, then kill -9', 1_500, (proxy) => proxy.shut()),
  killedWithoutDatabase('database hangs, then kill -9', 2_500, (proxy) =>
    proxy.silence({ connections: 'all' }),
  ),
];

/** What a relay has said 250 to is known when the worker is gone, though it could tell the database no more. */
function killedWithoutDatabase(name: string, waitMs: number, cut: (proxy: World['proxy']) => void): Scenario {
  return {
    name,
    covers: 'F1 F6',
    short: false,
    run: async (world) => {
      await world.start();
      await world.release();
      await world.takenReaches(60);
      cut(world.proxy);
      await sleep(waitMs);
      await world.killAll();
      world.proxy.speak();
      world.proxy.open();
      await world.finish();
      const rows = await world.sql<{ messageId: string }>(
        `select message_id_header as "messageId" from message where state = 'unknown'`,
      );
      const forgotten = rows.filter(({ messageId }) => world.sink.taken.has(messageId)).length;
      return expectThat(
        forgotten === 0,
        `${forgotten} mails are unknown though their 250 had come before the kill`,
      );
    },
  };
}

async function killAtPoints(world: World, points: readonly string[], seed: number): Promise<string[]> {
  const wrong: string[] = [];
  for (const [i, point] of points.entries()) {
    // The first batch is claimed before any mail is on the way: then nothing can be unknown.
    const hit = point === 'claimed' && i === 0 ? 1 : 5 + ((seed * 7 + i * 11) % 30);
    const env = { FAULT_POINT: point, FAULT_HIT: String(hit) };
    const [worker] = await world.start(1, { preload: ['points'], env });
    await world.release();
    if (!(await comes(worker?.exited))) {
      wrong.push(`the product never passed ${point} ${hit} times`);
      await worker?.stop();
    }
    await world.ageLeases();
  }
  await world.finish();
  return wrong;
}

function randomKills(options: {
  name: string;
  kills: number;
  workers: number;
  mails: number;
  short: boolean;
}): Scenario {
  const { name, kills, workers, mails, short } = options;
  return {
    name,
    covers: workers === 1 ? 'F1' : 'F1 F9',
    short,
    mails,
    run: async (world) => {
      await world.start(workers);
      await world.release();
      for (let n = 1; n <= kills; n++) {
        const upTo = Math.floor((mails / (kills + 2)) * n);
        await world.takenReachesAfterKills(Math.max(upTo, world.sink.takenTotal + 1));
        await sleep(Math.floor(world.random() * 60));
        await world.live[Math.floor(world.random() * world.live.length)]?.kill();
        if (world.live.length === 0) await world.ageLeases();
        await world.start();
        await world.hurry();
      }
      await world.finish();
      return expectThat((await world.kills()) >= kills, 'not every kill was made');
    },
  };
}
