import { setTimeout as sleep } from 'node:timers/promises';
import type { SinkRule } from '../../support/counting-sink.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

const BEFORE = 60;
const AFTER = 200;
/** Each is a full run of delivery.send-due, had it been allowed to send. */
const LOOKS = 6;
/** The broadcast is to last longer than it takes to copy the database. */
const SLOW: readonly SinkRule[] = [{ stage: 'dot', fault: { kind: 'late', ms: 1_000 }, every: 1 }];

/** A database that is not, or may not be, the one that sent last; and those that only look like it. */
export const backupScenarios: readonly Scenario[] = [
  {
    name: 'restored backup must not send again',
    covers: 'F11',
    short: false,
    mails: 300,
    crashesServer: true,
    run: async (world) => restored(world, async () => undefined),
  },
  {
    name: 'snapshot of the database’s disk beside an empty data folder must not send again',
    covers: 'F11',
    short: false,
    mails: 300,
    crashesServer: true,
    run: async (world) => restored(world, async () => world.loseDataFolders()),
  },
  {
    name: 'base backup restored under live workers, at the same address',
    covers: 'F11',
    short: false,
    mails: 1_200,
    sink: { rules: SLOW },
    crashesServer: true,
    run: async (world) => underLiveWorkers(world, { promoted: false }),
  },
  {
    name: 'base backup of seconds ago restored, workers killed before it and started after',
    covers: 'F1 F11',
    short: false,
    mails: 1_200,
    sink: { rules: SLOW },
    crashesServer: true,
    run: startedAfter,
  },
  {
    name: 'replica that lacks the last moments promoted under live workers, at the same address',
    covers: 'F11',
    short: false,
    mails: 1_200,
    sink: { rules: SLOW },
    crashesServer: true,
    run: async (world) => underLiveWorkers(world, { promoted: true }),
  },
  {
    name: 'containers without a volume replaced x4, two of them over a crash of PostgreSQL',
    covers: 'F4 F11',
    short: false,
    mails: 600,
    crashesServer: true,
    run: async (world) => {
      await world.start();
      await world.release();
      for (let n = 1; n <= 4; n++) {
        await world.takenReaches(n * 80);
        if (n % 2 === 0) {
          // The new one comes while the old one, which knows the ledger, still runs.
          const old = world.live;
          await world.cluster.crash();
          await world.cluster.restart();
          await world.start();
          await world.hurry();
          await world.takenReaches(n * 80 + 40);
          await Promise.all(old.map(async (worker) => worker.stop()));
        } else {
          await world.stopAll();
          await world.loseDataFolders();
          await world.start();
        }
        await world.hurry();
      }
      await world.finish();
    },
  },
];

async function restored(world: World, meanwhile: () => Promise<void>): Promise<string[]> {
  await world.start();
  await world.release();
  await world.takenReaches(BEFORE);
  await world.stopAll();
  await world.cluster.backUp();
  await world.start();
  await world.hurry();
  await world.takenReaches(AFTER);
  await world.stopAll();
  const lost = await numberGiven(world);
  await world.cluster.restoreBackup();
  world.setBack = true;
  await meanwhile();
  await world.start();
  const wrong = await sendsNothing(world, 'it was not confirmed');
  wrong.push(...(await isNotGivenAgain(world, lost)));
  // What waits in the backup may have gone out since it was made: the owner gives it up.
  await world.command('ledger', 'confirm', '--unsent', 'cancel');
  await world.finish();
  return wrong;
}

/** Two workers send on after a base backup was made. */
async function goOnAfterBackup(world: World): Promise<void> {
  await world.start(2);
  await world.release();
  await world.takenReaches(BEFORE);
  await backUpLive(world);
  const inBackup = world.sink.takenTotal;
  await world.takenReaches(inBackup + AFTER);
}

/** All that is left to tell is what stands in the data folders, and no beat need lie in between. */
async function startedAfter(world: World): Promise<string[]> {
  await goOnAfterBackup(world);
  await world.killAll();
  const lost = await numberGiven(world);
  await world.cluster.restoreBackup();
  world.setBack = true;
  world.leasedInBackup = (await world.openRows()).leased;
  await world.start(2);
  const wrong = await sendsNothing(world, 'it was not confirmed');
  wrong.push(...(await isNotGivenAgain(world, lost)));
  await world.command('ledger', 'confirm', '--unsent', 'cancel');
  await world.finish();
  return wrong;
}

/** As a sign-up takes it, which the backup does not know; links in its mails are this number and a signature. */
async function numberGiven(world: World): Promise<number> {
  const [row] = await world.sql<{ id: string }>(
    `select nextval(pg_get_serial_sequence('subscriber', 'id')) as id`,
  );
  return Number(row?.id);
}

async function isNotGivenAgain(world: World, lost: number): Promise<string[]> {
  const next = await numberGiven(world);
  // Not one that a crash has passed over.
  return expectThat(
    next > lost + 1_000_000,
    `links of subscriber ${lost}, who is lost, reach number ${next}`,
  );
}

/** Everything is due, and again and again nobody takes it. */
export async function sendsNothing(world: World, why: string, underWay = 0): Promise<string[]> {
  const taken = world.sink.takenTotal;
  for (let n = 0; n < LOOKS; n++) {
    await world.hurry();
    await sleep(500);
  }
  const more = world.sink.takenTotal - taken;
  return expectThat(more <= underWay, `${more} mails were sent though ${why}, ${underWay} were under way`);
}

/** Until a worker that lives knows that the ledger was set back; then what is leased in it stays so until the owner's word. */
export async function isRefused(world: World): Promise<string[]> {
  const refused = await comesTrue(async () => {
    await world.hurry();
    await sleep(500);
    const [row] = await world.sql<{ refused: boolean }>(
      `select coalesce(value->'refused', 'null') <> 'null' as refused from setting where key = 'ledger.generation'`,
    );
    return row?.refused === true;
  });
  const wrong = await sendsNothing(world, 'the ledger was set back', await world.inBodies());
  world.leasedInBackup = (await world.openRows()).leased;
  return [...expectThat(refused, 'no worker refused'), ...wrong];
}

/** A live copy, which takes as long as the machine has other work: all mails might have gone by then. */
export async function backUpLive(world: World): Promise<void> {
  for (const worker of world.live) worker.signal('SIGSTOP');
  await world.cluster.backUpLive();
  for (const worker of world.live) worker.signal('SIGCONT');
}

/** Runs go on through it: nobody stops a worker when a database fails over. */
async function underLiveWorkers(world: World, how: { promoted: boolean }): Promise<string[]> {
  await goOnAfterBackup(world);
  const lost = await numberGiven(world);
  await world.cluster.restoreBackup(how);
  world.setBack = true;
  const wrong = await isRefused(world);
  wrong.push(...(await isNotGivenAgain(world, lost)));
  await world.command('ledger', 'confirm', '--unsent', 'cancel');
  await world.finish();
  return wrong;
}
