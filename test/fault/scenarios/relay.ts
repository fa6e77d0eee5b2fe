import { setTimeout as sleep } from 'node:timers/promises';
import type { SinkFault, SinkRule, SinkStage } from '../../support/counting-sink.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { mailedOnce, withBroadcast } from './broadcasts.js';

const reply = (code: number): SinkFault => ({ kind: 'reply', code });
/** Of the one mailbox: without such words a final refusal of the body is about us, and its mail waits for the owner. */
const full = (code: number): SinkFault => ({ kind: 'reply', code, text: '5.2.2 mailbox full' });
const drop: SinkFault = { kind: 'drop' };
const reset: SinkFault = { kind: 'reset' };

/** One fault at one stage for about one mail in twelve; the next try of the same mail mostly goes through. */
function at(stage: SinkStage, fault: SinkFault, covers: string, name: string): Scenario {
  return {
    name,
    covers,
    short: false,
    sameForEverySeed: true,
    mails: 150,
    sink: { rules: [{ stage, fault, every: 12 }] },
    run: withShortTimeouts,
  };
}

async function withShortTimeouts(world: World): Promise<void> {
  await world.start(1, { preload: ['short-timeouts'] });
  await world.release();
  await world.finish();
}

const WITH_LOGIN = { extensions: ['AUTH PLAIN LOGIN', '8BITMIME'], login: 'ada:secret' };
const LOGIN_REFUSED: SinkRule = { stage: 'auth', fault: reply(535), every: 1 };
const PEOPLE = 400;

/** About one percent of each fault that leaves something unclear, and of each that does not. */
const STORM: readonly SinkRule[] = [
  { stage: 'connect', fault: drop, chance: 0.1 },
  { stage: 'mail', fault: reply(421), chance: 0.01 },
  { stage: 'rcpt', fault: reply(450), chance: 0.02 },
  { stage: 'rcpt', fault: reply(550), chance: 0.01 },
  { stage: 'data', fault: drop, chance: 0.02 },
  { stage: 'body', fault: reset, chance: 0.01 },
  { stage: 'dot', fault: reply(451), chance: 0.02 },
  { stage: 'dot', fault: full(554), chance: 0.01 },
  { stage: 'dot', fault: reset, chance: 0.01 },
  { stage: 'dot', fault: drop, chance: 0.01 },
  { stage: 'dot', fault: { kind: 'partial' }, chance: 0.01 },
  { stage: 'dot', fault: { kind: 'stall' }, chance: 0.005 },
  { stage: 'dot', fault: { kind: 'noise', bytes: 100_000 }, chance: 0.01 },
];

export const relayScenarios: readonly Scenario[] = [
  {
    name: 'relay storm: every fault about one percent',
    covers: 'F12-F22',
    short: true,
    mails: 500,
    sink: { rules: STORM },
    run: withShortTimeouts,
  },
  {
    name: 'relay storm, two workers, kill -9 x4',
    covers: 'F1 F9 F12-F22',
    short: false,
    mails: 1_500,
    sink: { rules: STORM },
    run: async (world) => {
      await world.start(2, { preload: ['short-timeouts'] });
      await world.release();
      for (let n = 1; n <= 4; n++) {
        await world.takenReaches(Math.max(n * 200, world.sink.takenTotal + 1));
        await world.live[0]?.kill();
        await world.start(1, { preload: ['short-timeouts'] });
        await world.hurry();
      }
      await world.finish();
    },
  },
  at('connect', drop, 'F12', 'drop before the greeting'),
  at('connect', reply(421), 'F12', '421 as greeting'),
  at('connect', reply(554), 'F12', '554 as greeting'),
  at('mail', reply(450), 'F13', '450 at MAIL'),
  at('mail', reply(550), 'F13', '550 at MAIL'),
  at('mail', drop, 'F13', 'drop at MAIL'),
  at('rcpt', reply(450), 'F13', '450 at RCPT'),
  at('rcpt', reply(550), 'F13', '550 at RCPT'),
  at('rcpt', drop, 'F13', 'drop at RCPT'),
  at('data', drop, 'F14', 'drop at DATA'),
  at('data', reply(451), 'F14', '451 at DATA'),
  at('data', full(554), 'F14', '554 at DATA'),
  at('body', drop, 'F15', 'drop in the body'),
  at('body', reset, 'F15', 'RST in the body'),
  at('dot', drop, 'F16', 'drop after the dot'),
  at('dot', reset, 'F16', 'RST after the dot'),
  at('dot', { kind: 'stall' }, 'F17', 'silence after the dot'),
  at('dot', { kind: 'late', ms: 8_000 }, 'F18', '250 after our timeout'),
  at('dot', { kind: 'partial' }, 'F19', 'half a reply after the dot'),
  at('dot', reply(451), 'F20', '451 after the dot'),
  at('dot', full(550), 'F20', '550 after the dot'),
  at('dot', reply(421), 'F20', '421 after the dot'),
  {
    ...at('mail', reply(421), 'F21', '421 at the second mail of a connection'),
    sink: { rules: [{ stage: 'mail', fault: reply(421), every: 2 }] },
    mails: 60,
  },
  at('dot', { kind: 'noise', bytes: 100_000 }, 'F22', 'reply of 100 KB with 8-bit octets after the dot'),
  at('rcpt', { kind: 'noise', bytes: 100_000 }, 'F22', 'reply of 100 KB with 8-bit octets at RCPT'),
  at('dot', { kind: 'trickle', ms: 50 }, 'F27', 'reply of one octet at a time'),
  ownTrouble({
    name: 'relay without STARTTLS',
    covers: 'F23',
    sink: { host: '127.0.0.2' },
    repair: async (world) => {
      // Loopback proper is trusted without TLS: the owner has put the address right.
      world.trustRelay();
      await world.stopAll();
    },
  }),
  ownTrouble({
    name: 'relay refuses the log-in',
    covers: 'F24',
    sink: { ...WITH_LOGIN, rules: [LOGIN_REFUSED] },
    repair: async (world) => {
      world.sink.rules = [];
    },
  }),
  {
    name: 'relay refuses the log-in in the middle of a broadcast, and takes it again',
    covers: 'F24',
    short: false,
    mails: 1,
    sink: WITH_LOGIN,
    run: async (world) => withBroadcast(world, PEOPLE, async (_, id) => loginRefusedMeanwhile(world, id)),
  },
  {
    name: 'relay that takes only small mails',
    covers: 'F25',
    short: false,
    mails: 50,
    sink: { extensions: ['PIPELINING', 'SIZE 1000'] },
    run: async (world) => {
      await withShortTimeouts(world);
      return expectThat(
        world.sink.hits.data === 0,
        'a mail was begun that the relay had said it would not take',
      );
    },
  },
  {
    name: 'relay without SMTPUTF8',
    covers: 'F26',
    short: false,
    mails: 100,
    sink: { extensions: ['PIPELINING', '8BITMIME', 'SIZE 10000000'] },
    run: async (world) => {
      await world.sql(`update message set address = 'grüße-' || id || '@example.net' where id % 10 = 3`);
      await withShortTimeouts(world);
      const { counts } = await world.verdict();
      return expectThat(counts['rejected'] === 10, `${counts['rejected']} of the 10 such mails were refused`);
    },
  },
  {
    name: 'hidden limit of the relay, 421',
    covers: 'F21',
    short: false,
    mails: 150,
    sink: { limit: { perSecond: 30, code: 421 } },
    run: withShortTimeouts,
  },
  {
    name: 'hidden limit of the relay, 451',
    covers: 'F21',
    short: false,
    mails: 150,
    sink: { limit: { perSecond: 30, code: 451 } },
    run: withShortTimeouts,
  },
];

/** Our own trouble is nobody else's: not one mail leaves or is given up, and after the repair all arrive. */
function ownTrouble({
  repair,
  ...scenario
}: Pick<Scenario, 'name' | 'covers'> & {
  sink: NonNullable<Scenario['sink']>;
  repair: (world: World) => Promise<void>;
}): Scenario {
  return {
    ...scenario,
    short: false,
    sameForEverySeed: true,
    mails: 50,
    run: async (world) => {
      await world.start();
      await world.release();
      for (let n = 0; n < 5; n++) {
        await world.hurry();
        await sleep(500);
      }
      const before = expectThat(world.sink.hits.mail === 0, 'a mail was begun in spite of the trouble');
      await repair(world);
      await world.finish();
      return [
        ...before,
        ...expectThat(world.sink.takenTotal === world.mails, 'not every mail arrived after the repair'),
      ];
    },
  };
}

/** As when the password has run out. Connections that are logged in are told to come back, as relays do before long. */
async function loginRefusedMeanwhile(world: World, id: string): Promise<string[]> {
  await world.takenReaches(50 + Math.floor(world.random() * 100));
  world.sink.rules = [LOGIN_REFUSED, { stage: 'mail', fault: reply(421), every: 1 }];
  const isOut = async (): Promise<boolean> =>
    (await world.sql(`select 1 from relay_state where state = 'open'`)).length === 1;
  const wrong = expectThat(await comesTrue(isOut), 'the relay was not left alone');
  // Those that were under way are over, and nobody is hurried: an account that is tried again and again is locked.
  await comesTrue(async () => (await world.openRows()).leased === 0);
  const tries = world.sink.hits.auth;
  for (let look = 0; look < 6; look++) {
    await world.wake();
    await sleep(500);
  }
  const more = world.sink.hits.auth - tries;
  wrong.push(...expectThat(more <= 1, `it was asked ${more} times within seconds to let us log in`));
  const spent = await world.sql(`select 1 from message where state = 'ready' and attempt > 0`);
  wrong.push(...expectThat(spent.length === 0, `${spent.length} mails have used up a try`));
  await world.hurry();
  await comesTrue(async () => world.sink.hits.auth > tries + more);
  world.sink.rules = [];
  await world.finish();
  const twice = await world.sql(`select 1 from message where attempt > 1`);
  return [
    ...wrong,
    ...expectThat(twice.length === 0, `${twice.length} mails were tried more than once`),
    ...expectThat(world.sink.takenTotal === world.mails, 'not every mail arrived after the repair'),
    ...(await mailedOnce(world, id, PEOPLE)),
  ];
}
