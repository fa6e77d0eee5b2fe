import { setTimeout as sleep } from 'node:timers/promises';
import type { SequenceDefinition } from '../../../src/sequences/steps/definition.js';
import { SENDER } from '../../support/mail-seed.js';
import { harmAtPlaces, type Place } from '../harm-at-places.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience, startBroadcast } from './broadcasts.js';

const PEOPLE = 16_000;
const CRASHES = 3;

const MOVING = 'with quick as materialized';
/** The first with a whole batch kept of which nobody heard, the others in the middle of one. */
const PLACES: readonly Place[] = [
  { statement: MOVING, moment: 'committed', atEnd: true },
  { statement: MOVING, moment: 'sent' },
  { statement: MOVING, moment: 'committed' },
];

/**
 * Planning commits without waiting for the disk, so a crash of PostgreSQL takes its latest batches back while the mails of
 * earlier ones are on their way. What was taken back is planned again; what went out stays planned. A kill takes back the
 * batches under way.
 */
export const planningScenarios: readonly Scenario[] = [
  {
    name: `PostgreSQL crash x${CRASHES} while steps are planned`,
    covers: 'F4 F36',
    short: false,
    mails: 1,
    crashesServer: true,
    run: async (world) => {
      await audience(world, PEOPLE);
      await dueSteps(world);
      world.mails += PEOPLE;
      await world.start();
      const wrong = await crashWhilePlanning(world, 'sequences.advance-due');
      return [...wrong, ...(await movedOneStep(world))];
    },
  },
  {
    name: `sequence advanced by two workers at once, kill -9 of both x${PLACES.length}`,
    covers: 'F33 F39',
    short: false,
    mails: 1,
    run: async (world) => {
      await audience(world, PEOPLE);
      await dueSteps(world);
      world.mails += PEOPLE;
      const seen: number[] = [];
      const after = async (): Promise<string[]> => {
        seen.push(await planned(world));
        return [];
      };
      const wrong = await harmAtPlaces(world, {
        ...{ harm: 'kill -9', places: PLACES, job: 'sequences.advance-due', workers: 2, after },
      });
      const [first = 0, last = PEOPLE] = [seen[0], seen.at(-1)];
      wrong.push(
        ...expectThat(
          first > 0 && last < PEOPLE,
          `${seen.join(', ')} of ${PEOPLE} were planned at the kills`,
        ),
      );
      await world.wake('sequences.advance-due');
      const all = await comesTrue(async () => (await planned(world)) >= PEOPLE);
      await world.release();
      await world.finish();
      return [
        ...wrong,
        ...expectThat(all, `${await planned(world)} of ${PEOPLE} mails were planned`),
        ...(await movedOneStep(world)),
      ];
    },
  },
  {
    name: `PostgreSQL crash x${CRASHES} while a broadcast is planned`,
    covers: 'F4 F36',
    short: false,
    mails: 1,
    crashesServer: true,
    run: async (world) => {
      await audience(world, PEOPLE);
      await world.inProduct(startBroadcast);
      world.mails += PEOPLE;
      await world.start();
      const wrong = await crashWhilePlanning(world, 'broadcasts.plan');
      const [row] = await world.sql<{ planned: number }>(
        'select planned_count::int as planned from broadcast',
      );
      return [...wrong, ...expectThat(row?.planned === PEOPLE, `${row?.planned} counted as planned`)];
    },
  },
];

async function planned(world: World): Promise<number> {
  const [row] = await world.sql<{ count: number }>(
    `select count(*)::int as count from message where enrollment_id is not null or broadcast_id is not null`,
  );
  return row?.count ?? 0;
}

async function movedOneStep(world: World): Promise<string[]> {
  const left = await world.sql(
    `select 1 from enrollment where step_key <> 'offer' or status <> 'active' limit 1`,
  );
  return expectThat(left.length === 0, 'somebody was not moved on, or further than one step');
}

async function crashWhilePlanning(world: World, job: string): Promise<string[]> {
  await world.release();
  await world.wake(job);
  const seen: number[] = [];
  for (let n = 1; n <= CRASHES; n++) {
    const enough = (n * PEOPLE) / (CRASHES + 2);
    await comesTrue(async () => (await planned(world)) >= enough);
    await sleep(Math.floor(world.random() * 60));
    const before = await planned(world);
    await world.cluster.crash();
    await world.cluster.restart();
    if (before < PEOPLE) seen.push(before - (await planned(world)));
    await world.wake(job);
  }
  const all = await comesTrue(async () => (await planned(world)) >= PEOPLE);
  await world.finish();
  return [
    ...expectThat(seen.length > 0, 'planning was over before the first crash'),
    ...expectThat(all, `${await planned(world)} of ${PEOPLE} mails were planned`),
  ];
}

/** Everybody is at the second of three steps, which is due. */
async function dueSteps(world: World): Promise<void> {
  const [template] = await world.sql<{ id: string }>('select id from email_template order by id limit 1');
  const email = (key: string, next: string | null): SequenceDefinition['nodes'][number] => ({
    ...{ kind: 'email', key, next, templateKey: 'letter', templateId: template?.id ?? '' },
    ...{ delay: { value: 2, unit: 'days' }, at: null, offer: null, deadline: null },
  });
  const definition: SequenceDefinition = {
    window: null,
    exitOn: [],
    first: 'welcome',
    nodes: [email('welcome', 'story'), email('story', 'offer'), email('offer', null)],
  };
  await world.sql(
    `with q as (
       insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
       values ('guide', 'guide', 'Guide', $1, now(), now()) returning id),
     v as (
       insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
       select q.id, 1, $2, '', now() from q returning id, sequence_id)
     insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, started_at)
     select v.sequence_id, v.id, s.id, 'active', 'story', now(), now() - interval '2 days' from v, subscriber s order by s.id`,
    [JSON.stringify(SENDER), JSON.stringify(definition)],
  );
}
