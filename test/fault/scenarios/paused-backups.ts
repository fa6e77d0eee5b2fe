import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { HeldService } from '../../../src/delivery/waiting/held.service.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { backUpLive, isRefused, sendsNothing } from './backups.js';
import { audience, mailedOnce, startBroadcast } from './broadcasts.js';

const PEOPLE = 400;
const BEFORE = 100;
/** Other mails, which go out after the backup was made: else it would not be behind. */
const SINCE = 100;

/** A broadcast that stands still stays so through a restored backup, until the owner has said both: confirmed, and goes on. */
export const pausedBackupScenarios: readonly Scenario[] = [
  {
    ...paused('broadcast paused, its backup restored'),
    run: async (world) => {
      const id = await pausedBroadcast(world);
      await world.stopAll();
      await world.cluster.backUp();
      await world.start();
      const wrong = await othersGoOut(world);
      await world.stopAll();
      await world.cluster.restoreBackup();
      await world.start(2);
      return [...wrong, ...(await staysUntilBothAreSaid(world, id))];
    },
  },
  {
    ...paused('broadcast paused, a base backup restored under live workers'),
    run: async (world) => {
      const id = await pausedBroadcast(world);
      await backUpLive(world);
      const wrong = await othersGoOut(world);
      await world.cluster.restoreBackup({ promoted: world.random() < 0.5 });
      return [...wrong, ...(await staysUntilBothAreSaid(world, id))];
    },
  },
  {
    ...paused('broadcast paused after its backup was made, which is restored under live workers'),
    run: async (world) => {
      await runningBroadcast(world, async ({ broadcasts, id }) => {
        await backUpLive(world);
        await world.takenReaches(world.sink.takenTotal + BEFORE);
        await broadcasts.pause(id);
      });
      await world.cluster.restoreBackup();
      world.setBack = true;
      const wrong = await isRefused(world);
      await world.command('ledger', 'confirm', '--unsent', 'hold');
      wrong.push(...(await sendsNothing(world, 'the owner has let nothing go')));
      // The backup knows nothing of the pause, and nobody which of them have gone out since.
      await ofHeld(world, async (held) => held.cancel({}));
      await world.finish();
      return wrong;
    },
  },
];

function paused(name: string): Pick<Scenario, 'name' | 'covers' | 'short' | 'mails' | 'crashesServer'> {
  return { name, covers: 'F11 F30', short: false, mails: SINCE, crashesServer: true };
}

/** `then` follows in the same opened product: until one has come up, a whole broadcast might have gone. */
async function runningBroadcast(
  world: World,
  then: (broadcast: Awaited<ReturnType<typeof startBroadcast>>) => Promise<void>,
): Promise<string> {
  await audience(world, PEOPLE);
  await world.start(2);
  return world.inProduct(async (context) => {
    const broadcast = await startBroadcast(context);
    world.mails += PEOPLE;
    await world.wake();
    await world.takenReaches(BEFORE);
    await then(broadcast);
    return broadcast.id;
  });
}

/** Nothing of it is on its way any more. */
async function pausedBroadcast(world: World): Promise<string> {
  const id = await runningBroadcast(world, async ({ broadcasts, id }) => {
    await broadcasts.pause(id);
  });
  await comesTrue(async () => (await world.openRows()).leased === 0);
  return id;
}

async function othersGoOut(world: World): Promise<string[]> {
  const before = world.sink.takenTotal;
  await world.release();
  await world.takenReaches(before + SINCE);
  await comesTrue(async () => (await world.openRows()).leased === 0);
  return [
    ...(await sendsNothing(world, 'the broadcast is paused')),
    ...expectThat(world.sink.takenTotal === before + SINCE, 'mails of the broadcast went out as well'),
  ];
}

async function staysUntilBothAreSaid(world: World, id: string): Promise<string[]> {
  world.setBack = true;
  const wrong = await isRefused(world);
  const confirm = async (): Promise<void> => {
    await world.command('ledger', 'confirm', '--unsent', 'hold');
    // Nothing of the broadcast has gone out since the backup, all the others have.
    await ofHeld(world, async (held) => {
      await held.release({ broadcastId: id });
      await held.cancel({});
    });
  };
  const goOn = async (): Promise<unknown> => ofBroadcasts(world, async (broadcasts) => broadcasts.resume(id));
  const [first, second] = world.random() < 0.5 ? [confirm, goOn] : [goOn, confirm];
  await first();
  wrong.push(...(await sendsNothing(world, 'the owner has said one of two things')));
  await second();
  await world.finish();
  const left = await world.sql(`select 1 from message where broadcast_id = $1 and state <> 'accepted'`, [id]);
  return [
    ...wrong,
    ...(await mailedOnce(world, id, PEOPLE)),
    ...expectThat(left.length === 0, `${left.length} mails of the broadcast did not arrive`),
  ];
}

async function ofBroadcasts<T>(
  world: World,
  work: (broadcasts: BroadcastsService) => Promise<T>,
): Promise<T> {
  return world.inProduct(async ({ app }) => work(app.get(BroadcastsService, { strict: false })));
}

async function ofHeld<T>(world: World, work: (held: HeldService) => Promise<T>): Promise<T> {
  return world.inProduct(async ({ app }) => work(app.get(HeldService, { strict: false })));
}
