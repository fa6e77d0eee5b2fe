import { BouncesService } from '../../../src/bounces/bounces.service.js';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { DEFAULT_LANES } from '../../../src/delivery/relays/relay-choice.js';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { complaint } from '../../support/returned-mails.js';
import { comesTrue } from '../patience.js';
import { harmAtPlaces, type Place } from '../harm-at-places.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience, mailedOnce, stands, startBroadcast } from './broadcasts.js';

const BOUNCE_DOMAIN = 'bounce.example.com';
const PEOPLE = 500;
/** By then two complaints are more than 0.3 %, and most of the broadcast is still to go. */
const TAKEN_FIRST = 120;
/** Every second address turns out dead: twenty are enough. */
const ROTTEN = 2;
const PAUSE = `update broadcast set state = 'paused'`;
const AT_PAUSE: readonly Place[] = [
  { statement: PAUSE, moment: 'sent' },
  { statement: PAUSE, moment: 'committed' },
];
/** A judge looks at every tenth refusal it has seen; what it had seen when it was killed is forgotten. */
const SEEN_AT_MOST = 20 + (AT_PAUSE.length + 1) * (10 + 2 * DEFAULT_LANES);

/** A broadcast that does harm is stopped, by whoever is left, and only the owner lets it go on. */
export const guardScenarios: readonly Scenario[] = [
  {
    name: 'complaints pause a broadcast, kill -9 as the one too many comes in',
    covers: 'F30 F1',
    short: true,
    mails: 1,
    run: async (world) => {
      await audience(world, PEOPLE);
      await world.start(1, { env: { BOUNCE_DOMAIN } });
      return world.inProduct(
        async (context) => {
          const { broadcasts, id } = await startBroadcast(context);
          world.mails += PEOPLE;
          await world.release();
          await world.takenReaches(TAKEN_FIRST);
          await comesTrue(async () => (await accepted(world, id)).length >= TAKEN_FIRST);
          const [one, other] = await accepted(world, id);
          const bounces = context.app.get(BouncesService, { strict: false });
          const judged = await judgeMail(Buffer.from(complaint('abuse')));
          const complains = async (messageId = ''): Promise<unknown> =>
            bounces.take({
              judged,
              envelopeTo: [verpAddress(context.config.secretKey, messageId, BOUNCE_DOMAIN)],
              // As a provider tells it, which signs what it says.
              source: 'postmark',
            });
          await complains(one);
          const wrong = await stands(world, async () => complains(other));
          wrong.push(...(await isPaused(broadcasts, id, /recipients complained/)));
          // They have complained once: the owner's word is for all that follows.
          await broadcasts.resume(id);
          await world.finish();
          return [...wrong, ...(await mailedOnce(world, id, PEOPLE))];
        },
        { BOUNCE_DOMAIN },
      );
    },
  },
  {
    name: 'dead addresses pause a broadcast, kill -9 as the pause is written',
    covers: 'F30 F1',
    short: false,
    mails: 1,
    sink: {
      rules: [
        { stage: 'rcpt', fault: { kind: 'reply', code: 550, text: '5.1.1 user unknown' }, every: ROTTEN },
      ],
    },
    run: async (world) => {
      await audience(world, PEOPLE);
      return world.inProduct(async (context) => {
        const { broadcasts, id } = await startBroadcast(context);
        world.mails += PEOPLE;
        const wrong = await harmAtPlaces(world, {
          ...{ harm: 'kill -9', places: AT_PAUSE, job: 'broadcasts.plan' },
          isOver: async () => (await broadcasts.get(id)).state === 'paused',
        });
        const paused = async (): Promise<boolean> => {
          await world.wake('delivery.send-due');
          return (await broadcasts.get(id)).state === 'paused';
        };
        await comesTrue(paused);
        wrong.push(...(await isPaused(broadcasts, id, /addresses do not exist/)));
        const rejected = await world.sql(
          `select 1 from message where broadcast_id = $1 and state = 'rejected'`,
          [id],
        );
        wrong.push(
          ...expectThat(
            rejected.length <= SEEN_AT_MOST,
            `${rejected.length} dead addresses were written to, ${SEEN_AT_MOST} at most were to be`,
          ),
        );
        await broadcasts.cancel(id);
        await world.finish();
        return wrong;
      });
    },
  },
];

async function accepted(world: World, id: string): Promise<string[]> {
  const rows = await world.sql<{ id: string }>(
    `select id from message where broadcast_id = $1 and state = 'accepted' order by id`,
    [id],
  );
  return rows.map((row) => row.id);
}

async function isPaused(broadcasts: BroadcastsService, id: string, why: RegExp): Promise<string[]> {
  const { state, stateReason } = await broadcasts.get(id);
  return expectThat(
    state === 'paused' && why.test(stateReason ?? ''),
    `the broadcast is ${state}, because of ${stateReason}`,
  );
}
