import { setTimeout as sleep } from 'node:timers/promises';
import type { SequenceDefinition } from '../../../src/sequences/steps/definition.js';
import { SENDER } from '../../support/mail-seed.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience, startBroadcast } from './broadcasts.js';

const PEOPLE = 16_000;
const CRASHES = 3;

/**
 * Planning commits without waiting for the disk, so a crash of PostgreSQL takes its latest batches back while the mails of
 * earlier ones are on their way. What was taken back is planned again; what went out stays planned.
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
      const left = await world.sql(
        `select 1 from enrollment where step_key <> 'offer' or status <> 'active' limit 1`,
      );
      return [
        ...wrong,
        ...expectThat(left.length === 0, 'somebody was not moved on, or further than one step'),
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

async function crashWhilePlanning(world: World, job: string): Promise<string[]> {
  const planned = async (): Promise<number> => {
    const [row] = await world.sql<{ count: number }>(
      `select count(*)::int as count from message where enrollment_id is not null or broadcast_id is not null`,
    );
    return row?.count ?? 0;
  };
  await world.release();
  await world.wake(job);
  const seen: number[] = [];
  for (let n = 1; n <= CRASHES; n++) {
    const enough = (n * PEOPLE) / (CRASHES + 2);
    await comesTrue(async () => (await planned()) >= enough);
    await sleep(Math.floor(world.random() * 60));
    const before = await planned();
    await world.cluster.crash();
    await world.cluster.restart();
    if (before < PEOPLE) seen.push(before - (await planned()));
    await world.wake(job);
  }
  const all = await comesTrue(async () => (await planned()) >= PEOPLE);
  await world.finish();
  return [
    ...expectThat(seen.length > 0, 'planning was over before the first crash'),
    ...expectThat(all, `${await planned()} of ${PEOPLE} mails were planned`),
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
