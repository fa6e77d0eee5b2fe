import { setTimeout as sleep } from 'node:timers/promises';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

/** Longer than the reaper of a worker may be without a look before it takes that for an outage. */
const LONG_MS = 80_000;

/** The database is away for longer than a lease, and the workers that wait for it live. */
export const outageScenarios: readonly Scenario[] = [
  {
    name: 'PostgreSQL away for longer than a lease, two workers with replies that it has not heard of',
    covers: 'F4 F6',
    short: false,
    mails: 400,
    crashesServer: true,
    run: async (world) =>
      awayForLongerThanALease(world, async () => {
        await world.cluster.crash();
        await world.cluster.restart();
      }),
  },
  {
    name: `network to the database away for longer than a lease (${LONG_MS / 1_000} s), two workers with replies`,
    covers: 'F6',
    short: false,
    mails: 400,
    run: async (world) => awayForLongerThanALease(world, async () => sleep(LONG_MS)),
  },
];

async function awayForLongerThanALease(world: World, outage: () => Promise<void>): Promise<string[]> {
  // Each is a receipt: sent a second time when its first try is unclear.
  await world.sql(`update message set class = 'transactional' where state = 'ready'`);
  let shut = false;
  // Those whose text the relay has by then are answered when nobody can write that down.
  world.sink.onStage = async ({ stage, hit }) => {
    if (stage === 'dot' && hit === 60) {
      world.proxy.shut();
      shut = true;
    }
  };
  await world.start(2);
  await world.release();
  while (!shut) await sleep(20);
  await sleep(1_000);
  await outage();
  await world.ageLeases();
  // Nobody has looked since, either.
  await world.sql(
    `update setting set updated_at = updated_at - interval '1 hour' where key = 'delivery.reaper'`,
  );
  world.proxy.open();
  world.sink.onStage = null;
  for (let n = 0; n < 20; n++) {
    await world.wake('delivery.reap');
    await sleep(100);
  }
  await world.finish();
  const rows = await world.sql(`select 1 from message where state = 'unknown' or unknown_count > 0`);
  return expectThat(rows.length === 0, `${rows.length} accepted mails were taken for unclear`);
}
