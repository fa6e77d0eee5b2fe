import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerProcess } from '../../support/worker-process.js';
import { comesTrue } from '../patience.js';
import type { Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { DELIVERY_POINTS } from '../../../src/delivery/ledger/fault-points.js';

/** The one where a mail would be sent twice if the lease were not looked at again. */
const SHORT_POINT = 'reply-250';

/**
 * A worker stands still beyond its lease, another one takes over and brings the ledger to its end, and then the first
 * one goes on as if nothing had been.
 */
export const pauseScenarios: readonly Scenario[] = [
  ...DELIVERY_POINTS.map((point): Scenario => ({
    name: `SIGSTOP beyond the lease at ${point}`,
    covers: 'F3',
    short: point === SHORT_POINT,
    mails: 150,
    run: async (world, seed) => {
      const env = { FAULT_POINT: point, FAULT_HIT: String(3 + ((seed * 7) % 20)), FAULT_SIGNAL: 'SIGSTOP' };
      const [worker] = await world.start(1, { preload: ['points'], env });
      await world.release();
      if (!worker || !(await comesTrue(async () => standsStill(worker))))
        return [`the product never passed ${point}`];
      return takeOver(world, worker);
    },
  })),
  {
    name: 'SIGSTOP beyond the lease at random',
    covers: 'F3',
    short: false,
    mails: 900,
    run: async (world) => {
      for (let n = 1; n <= 3; n++) {
        const [worker] = await world.start();
        if (!worker) return;
        await portion(world, 200);
        await world.takenReaches(world.sink.takenTotal + 40);
        await sleep(Math.floor(world.random() * 50));
        worker.signal('SIGSTOP');
        world.paused++;
        await comesTrue(async () => standsStill(worker));
        await world.ageLeases();
        await world.start();
        // The one that stands still may have sent all of its own.
        await portion(world, 100);
        await world.takenReaches(world.sink.takenTotal + 40);
        worker.signal('SIGCONT');
        await sleep(300);
        await world.stopAll();
      }
      await world.finish();
    },
  },
];

/** So many more are due; the others stay for the workers that come later, however fast these are. */
async function portion(world: World, mails: number): Promise<void> {
  await world.sql(
    `update message set due_at = clock_timestamp() where id in (
       select id from message where state = 'ready' and due_at > clock_timestamp() + interval '1 day' order by id limit $1)`,
    [mails],
  );
  await world.wake();
}

async function takeOver(world: World, worker: WorkerProcess): Promise<void> {
  world.paused++;
  await world.ageLeases();
  await world.start();
  await world.finish();
  worker.signal('SIGCONT');
  // What it still does it does at once; SIGTERM then waits for the rest.
  await sleep(500);
  await world.stopAll();
  await world.finish();
}

async function standsStill({ pid }: WorkerProcess): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}
