import { DEFAULT_LANES } from '../../../src/delivery/relays/relay-choice.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

/** A minute and a half by the clock of `short-timeouts`: later than a relay is slow, sooner than it is given up. */
const LATE_MS = 3_000;
/** Ten minutes as they are: what waits is not given up before the harm comes. */
const PATIENT = { preload: ['short-timeouts'], env: { FAULT_FINAL_MS: '600000' } } as const;
const KILLS = 2;

/** Relays that say 250 minutes after the final dot, or not at all, and what befalls the workers meanwhile. */
export const parkedScenarios: readonly Scenario[] = [
  {
    name: '250 after a minute and a half',
    covers: 'F18',
    short: true,
    mails: 200,
    sink: { rules: [{ stage: 'dot', fault: { kind: 'late', ms: LATE_MS }, every: 12 }] },
    run: async (world) => {
      await world.start(1, { preload: ['short-timeouts'], env: { FAULT_FINAL_MS: '60000' } });
      await world.release();
      await world.takenReaches(world.mails);
      await world.finish();
      const { unclear } = await world.verdict();
      return expectThat(unclear === 0, `${unclear} mails became unknown though the relay had answered`);
    },
  },
  {
    name: `no answer to any mail for minutes, kill -9 x${KILLS} while lanes are parked`,
    covers: 'F1 F17',
    short: false,
    mails: 600,
    run: async (world) => {
      const wrong: string[] = [];
      for (let n = 1; n <= KILLS; n++) {
        wrong.push(...(await untilManyHang(world)));
        await world.killAll();
        await world.ageLeases();
      }
      return [...wrong, ...(await answersAgain(world))];
    },
  },
  {
    name: 'no answer to any mail for minutes, SIGTERM while lanes are parked',
    covers: 'F2 F17',
    short: false,
    mails: 300,
    run: async (world) => {
      const wrong = await untilManyHang(world);
      // What it waits for in vain is as unclear as after a crash.
      world.paused++;
      const [exit] = await Promise.all(world.live.map(async (worker) => worker.stop()));
      wrong.push(...expectThat(exit?.signal === null, 'the worker did not end in its time'));
      await world.ageLeases();
      return [...wrong, ...(await answersAgain(world))];
    },
  },
  {
    name: 'SIGTERM while lanes are parked, answers within its grace',
    covers: 'F2 F18',
    short: false,
    mails: 300,
    run: async (world) => {
      const wrong = await untilManyHang(world);
      const stopping = world.stopAll();
      answers.get(world)?.();
      await stopping;
      wrong.push(...(await answersAgain(world)));
      const { unclear } = await world.verdict();
      return [...wrong, ...expectThat(unclear === 0, `${unclear} unknown though all were answered in time`)];
    },
  },
];

const answers = new WeakMap<World, () => void>();

/** The relay takes mails and says nothing, until more hang on it than it has lanes at work. */
async function untilManyHang(world: World): Promise<string[]> {
  world.parks = true;
  const silence = new Promise<void>((resolve) => answers.set(world, resolve));
  world.sink.onStage = async ({ stage }) => (stage === 'dot' ? silence : undefined);
  const begun = world.sink.hits.dot;
  // Else the second worker would try with one mail at a time.
  await world.sql('delete from relay_state');
  await world.start(1, PATIENT);
  await world.release();
  const hanging = async (): Promise<boolean> => {
    await world.hurry();
    return world.sink.hits.dot - begun >= DEFAULT_LANES + 4;
  };
  const many = await comesTrue(hanging);
  return expectThat(many, `only ${world.sink.hits.dot - begun} mails hung`);
}

async function answersAgain(world: World): Promise<string[]> {
  world.sink.onStage = null;
  answers.get(world)?.();
  await world.start(1, { preload: ['short-timeouts'] });
  await world.hurry();
  await world.finish();
  return [];
}
