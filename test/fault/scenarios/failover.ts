import { setTimeout as sleep } from 'node:timers/promises';
import type { CountingSink, SinkRule, SinkStage } from '../../support/counting-sink.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import { FAR_DAY } from '../seeded-ledger.js';
import type { World } from '../world.js';

const LOOKS = 6;
/** A worker believes for half a second what it last read of the relays: one that did not try goes on with the others for so long. */
const ALL_KNOW_MS = 1_000;
const STOPPED: readonly SinkRule[] = [{ stage: 'connect', fault: { kind: 'reset' }, every: 1 }];
const SLOWED: readonly SinkStage[] = ['helo', 'mail', 'data'];

/** Several relays at once, of which some do not do their work. */
export const failoverScenarios: readonly Scenario[] = [
  {
    name: 'two relays with weights, one stops and comes back, kill -9 x4, one of them of a worker whose try of it hangs',
    covers: 'F1 F9 F12',
    short: false,
    mails: 1_800,
    relays: [{ weight: 3 }, { weight: 1 }],
    run: async (world) => {
      const [main, other] = world.sinks.all;
      if (!main || !other) return ['there are not two relays'];
      await world.start(2);
      const wrong = await sharesHold(world, main);

      main.rules = STOPPED;
      main.hangUp();
      await world.live[0]?.kill();
      await world.start();
      await comesDue(world, 250);
      wrong.push(...(await takes(world, other, 150)));
      wrong.push(
        ...expectThat((await stateOf(world, main)) === 'open', 'a relay that is gone counts as well'),
      );

      // It is there again, and says nothing to the one that tries.
      main.rules = [];
      main.onStage = async ({ stage }) => (stage === 'mail' ? new Promise(() => undefined) : undefined);
      const begun = main.hits.mail;
      await comesDue(world, 250);
      await pauseIsOver(world);
      wrong.push(...(await becomes(async () => main.hits.mail > begun, 'the relay was not tried')));
      for (let n = 0; n < LOOKS; n++) {
        await again(world);
        await sleep(300);
      }
      const tries = main.hits.mail - begun;
      wrong.push(...expectThat(tries === 1, `${tries} mails were at a relay that one was to try`));
      await world.killAll();
      await world.ageLeases();
      main.onStage = null;
      await world.start(2);
      await comesDue(world, 200);
      wrong.push(...(await takes(world, other, 150)));

      await pauseIsOver(world);
      const isBack = async (): Promise<boolean> => {
        await comesDue(world, 1);
        return (await stateOf(world, main)) === 'closed';
      };
      wrong.push(...(await becomes(isBack, 'the relay was not used again')));
      await sleep(ALL_KNOW_MS);
      wrong.push(...(await sharesHold(world, main)));
      await world.live[0]?.kill();
      await world.finish();
      return wrong;
    },
  },
  {
    name: 'relays of one octet a second at EHLO, at MAIL, at DATA beside one that works',
    covers: 'F27',
    short: false,
    sameForEverySeed: true,
    mails: 500,
    relays: [...SLOWED.map((stage) => ({ rules: octetASecond(stage) })), {}],
    run: async (world) => {
      const slow = world.sinks.all.slice(0, -1);
      const well = world.sinks.all.at(-1);
      if (!well) return ['there is no relay that works'];
      await world.start();
      await comesDue(world, 400);
      await world.takenReaches(250);
      const [{ tired } = { tired: true }] = await world.sql<{ tired: boolean }>(
        `select exists (select 1 from relay_state where failures > 0 or state <> 'closed') as tired`,
      );
      const wrong = expectThat(!tired, 'the relay that works waited until the others were given up');
      const allOut = async (): Promise<boolean> =>
        (await Promise.all(slow.map(async (sink) => stateOf(world, sink)))).every(
          (state) => state === 'open',
        );
      wrong.push(...(await becomes(allOut, 'not every slow relay was given up')));
      // All but those that are with the slow ones at this moment, to find out whether they still are.
      wrong.push(...(await takes(world, well, 400 - slow.length - well.takenTotal)));
      for (const sink of slow) sink.rules = [];
      const allBack = async (): Promise<boolean> => {
        await comesDue(world, 3);
        await pauseIsOver(world);
        return slow.every(({ takenTotal }) => takenTotal > 0);
      };
      wrong.push(...(await becomes(allBack, 'not every relay was used again')));
      await world.finish();
      const { unclear, counts } = await world.verdict();
      return [
        ...wrong,
        ...expectThat(unclear === 0, `${unclear} unknown though no body was begun`),
        ...expectThat(counts['accepted'] === world.mails, 'not every mail arrived'),
      ];
    },
  },
];

function octetASecond(stage: SinkStage): readonly SinkRule[] {
  return [{ stage, fault: { kind: 'trickle', ms: 1_000, more: ' and so on'.repeat(20) }, every: 1 }];
}

/** Of enough mails that chance alone does not decide. */
async function sharesHold(world: World, main: CountingSink): Promise<string[]> {
  const [before, all] = [main.takenTotal, world.sinks.takenTotal];
  await comesDue(world, 500);
  await world.takenReaches(all + 350);
  const share = (main.takenTotal - before) / (world.sinks.takenTotal - all);
  return expectThat(
    share > 0.6 && share < 0.9,
    `${share.toFixed(2)} of the mails went by the one with weight 3 of 4`,
  );
}

async function takes(world: World, sink: CountingSink, more: number): Promise<string[]> {
  const until = sink.takenTotal + more;
  const reached = async (): Promise<boolean> => {
    await again(world);
    return sink.takenTotal >= until;
  };
  return becomes(reached, `the other relay did not take ${more} mails more`);
}

async function becomes(what: () => Promise<boolean>, otherwise: string): Promise<string[]> {
  return expectThat(await comesTrue(what), otherwise);
}

/** So many of those that are planned for a far day. */
async function comesDue(world: World, count: number): Promise<void> {
  await world.sql(
    `update message set due_at = clock_timestamp() where id in (
       select id from message where state = 'ready' and due_at >= $1 order by id limit $2)`,
    [FAR_DAY, count],
  );
  await world.wake();
}

/** What was put off is due; relays are left alone. */
async function again(world: World): Promise<void> {
  await world.sql(`update message set due_at = clock_timestamp() where state = 'ready' and due_at < $1`, [
    FAR_DAY,
  ]);
  await world.wake();
}

async function pauseIsOver(world: World): Promise<void> {
  await world.sql('update relay_state set opened_until = clock_timestamp() where opened_until is not null');
  await world.wake();
}

async function stateOf(world: World, sink: CountingSink): Promise<string> {
  const [row] = await world.sql<{ state: string }>('select state from relay_state where key = $1', [
    `relay-${world.sinks.all.indexOf(sink) + 1}`,
  ]);
  return row?.state ?? 'closed';
}
