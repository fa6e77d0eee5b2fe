import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import type { Split } from '../../../src/broadcasts/split.js';
import type { SplitDecision } from '../../../src/broadcasts/split-results.js';
import { AT_ONCE, type BroadcastTiming } from '../../../src/broadcasts/timing.js';
import { SENDER } from '../../support/mail-seed.js';
import { comesTrue } from '../patience.js';
import { harmAtPlaces, type Harm, type Place } from '../harm-at-places.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience, isPlanned, mailedOnce } from './broadcasts.js';

const JOB = 'broadcasts.plan';
/** The rest comes in three batches of 2,000 mails at most. */
const PEOPLE = 6_500;
const TEST_PERCENT = 20;
const WINNER = 1;

const PLANNING: readonly Place[] = [
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'sent' },
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'sent', atEnd: true },
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'committed', atEnd: true },
];

const JUDGING: readonly Place[] = [
  { statement: 'with drawn as (', moment: 'committed' },
  { statement: 'update broadcast set decision', moment: 'sent' },
  { statement: 'update broadcast set decision', moment: 'committed' },
  { statement: 'update broadcast set decision', moment: 'committed', atEnd: true },
];

const GIVING = `update message m set state = 'ready', state_reason = null, email_template_id`;

const RELEASING: readonly Place[] = [
  {
    statement: 'select m.id, m.subscriber_id as "subscriberId", m.due_at as "dueAt", (select s.time_zone',
    moment: 'committed',
  },
  { statement: GIVING, moment: 'sent' },
  { statement: GIVING, moment: 'committed' },
  { statement: GIVING, moment: 'sent', atEnd: true },
  { statement: GIVING, moment: 'committed', atEnd: true },
  { statement: GIVING, moment: 'committed', hit: 1 },
];

const STOPPING: readonly Place[] = [
  { statement: 'with drawn as (', moment: 'committed' },
  { statement: 'update broadcast set stopped_arms', moment: 'sent' },
  { statement: 'update broadcast set stopped_arms', moment: 'committed' },
  // Its COMMIT has reached the database: nobody judges again before the next look.
  { statement: 'update broadcast set stopped_arms', moment: 'sent', atEnd: true },
  { statement: 'update message m set arm = w.arm', moment: 'sent' },
  { statement: 'update message m set arm = w.arm', moment: 'committed' },
  { statement: 'update message m set arm = w.arm', moment: 'committed', atEnd: true },
];

export const splitScenarios: readonly Scenario[] = [
  splitTest('kill -9'),
  splitTest('PostgreSQL crash'),
  railsTest('kill -9'),
  railsTest('PostgreSQL crash'),
];

function splitTest(harm: Harm): Scenario {
  return {
    name: `split test, ${harm} at each point from planning to the winner's last mail`,
    covers: harm === 'kill -9' ? 'F1 F36' : 'F4 F36',
    short: false,
    mails: 1,
    crashesServer: harm !== 'kill -9',
    run: async (world) => {
      await audience(world, PEOPLE);
      const id = await startSplit(world, { testPercent: TEST_PERCENT }, AT_ONCE);
      world.mails += PEOPLE;
      await world.release();
      const wrong = await harmAtPlaces(world, {
        ...{ harm, places: PLANNING, job: JOB },
        isOver: isPlanned(world, id),
      });
      wrong.push(...(await tried(world, id)));
      await click(world, id, WINNER, 3);
      await click(world, id, 0, 20);
      await world.sql('update broadcast set decide_at = clock_timestamp() where id = $1', [id]);
      wrong.push(
        ...(await harmAtPlaces(world, { harm, places: JUDGING, job: JOB, after: oneArm(world, id) })),
      );
      const first = await decisionOf(world, id);
      // Whoever judged once more would find another winner.
      await click(world, id, 0, 1);
      wrong.push(
        ...(await harmAtPlaces(world, { harm, places: RELEASING, job: JOB, after: oneArm(world, id) })),
      );
      if (world.live.length === 0) await world.start();
      await comesTrue(async () => {
        await world.wake(JOB);
        return (await world.openRows()).held === 0;
      });
      await world.finish();
      const last = await decisionOf(world, id);
      return [
        ...wrong,
        ...expectThat(
          first?.verdict === 'winner' && first.arm === WINNER,
          `decided ${JSON.stringify(first)}`,
        ),
        ...expectThat(JSON.stringify(last) === JSON.stringify(first), 'it was decided twice'),
        ...(await mailedOnce(world, id, PEOPLE)),
      ];
    },
  };
}

/** To everybody, with two subjects. */
async function startSplit(
  world: World,
  test: Pick<Split, 'testPercent' | 'guardRails'>,
  timing: BroadcastTiming,
): Promise<string> {
  return world.inProduct(async ({ app }) => {
    const broadcasts = app.get(BroadcastsService, { strict: false });
    const { id } = await broadcasts.create({
      ...{ title: 'News', template: 'emails/story', audience: { everybody: true }, sender: SENDER },
      ...{ topic: null, expiresAt: null },
      split: {
        arms: [{ subject: 'A story' }, { subject: 'The other story' }],
        ...{ waitMinutes: 60, judge: 'clicks', ...test },
      },
    });
    await broadcasts.start(id, null, timing);
    return id;
  });
}

/** Few mails of the test have gone when one of its arms is found to do harm. */
function railsTest(harm: Harm): Scenario {
  const people = 1_500;
  return {
    name: `split test, ${harm} at each point from the judgement of a guard rail to the last mail of the arm it stops`,
    covers: harm === 'kill -9' ? 'F1 F36' : 'F4 F36',
    short: false,
    mails: 1,
    crashesServer: harm !== 'kill -9',
    run: async (world) => {
      await audience(world, people);
      const id = await startSplit(
        world,
        { testPercent: 90, guardRails: { unsubscribes: '2%' } },
        { local: null, spreadMinutes: 7 * 24 * 60 },
      );
      world.mails += people;
      await world.release();
      await world.start();
      await comesTrue(async () => {
        await world.wake(JOB);
        return isPlanned(world, id)();
      });
      await harmful(world, id, WINNER);
      const wrong = await harmAtPlaces(world, { harm, places: STOPPING, job: JOB });
      const [stood] = await world.sql<{ stopped: number; alerts: number; left: number }>(
        `select jsonb_array_length(stopped_arms) as stopped,
           (select count(*)::int from alert where key = 'broadcast:arm:' || b.id || ':1') as alerts,
           (select count(*)::int from message m where m.broadcast_id = b.id and m.arm = 1 and m.state = 'ready') as left
         from broadcast b where b.id = $1`,
        [id],
      );
      wrong.push(
        ...expectThat(
          JSON.stringify(stood) === JSON.stringify({ stopped: 1, alerts: 1, left: 0 }),
          `it stands so: ${JSON.stringify(stood)}`,
        ),
        ...(await tried(world, id)),
      );
      await world.sql('update broadcast set decide_at = clock_timestamp() where id = $1', [id]);
      await comesTrue(async () => {
        await world.wake(JOB);
        return (await world.openRows()).held === 0;
      });
      await world.finish();
      const decision = await decisionOf(world, id);
      return [
        ...wrong,
        ...expectThat(decision?.because === 'guard_rails', `decided ${JSON.stringify(decision)}`),
        ...(await mailedOnce(world, id, people)),
      ];
    },
  };
}

/** The first mails of an arm have gone, each of their readers has left, and the guard rails are looked at now. */
async function harmful(world: World, id: string, arm: number): Promise<void> {
  await world.sql(
    `update message set due_at = clock_timestamp() where id in (
       select id from message where broadcast_id = $1 and arm = $2 and state = 'ready' order by id limit 40)`,
    [id, arm],
  );
  const gone = async (): Promise<boolean> => {
    await world.wake();
    const rows = await world.sql(
      `select 1 from message where broadcast_id = $1 and arm = $2 and state = 'accepted' offset 39 limit 1`,
      [id, arm],
    );
    return rows.length === 1;
  };
  await comesTrue(gone);
  await world.killAll();
  await world.sql(
    `insert into consent_event (subscriber_id, kind, purpose, at)
     select subscriber_id, 'withdrawn', 'marketing', clock_timestamp() from message
     where broadcast_id = $1 and arm = $2 and state = 'accepted'`,
    [id, arm],
  );
  await world.sql(`update broadcast set looked_at = clock_timestamp() - interval '1 hour' where id = $1`, [
    id,
  ]);
}

/** Until each mail of the test was tried, and the hour of the readers has begun. */
async function tried(world: World, id: string): Promise<string[]> {
  if (world.live.length === 0) await world.start();
  const begun = async (): Promise<boolean> => {
    await world.hurry();
    await world.wake(JOB);
    const rows = await world.sql('select 1 from broadcast where id = $1 and decide_at is not null', [id]);
    return rows.length === 1;
  };
  return expectThat(await comesTrue(begun), 'the test never came to its wait');
}

/** Each `every`-th reader of an arm has clicked, as a person does. */
async function click(world: World, id: string, arm: number, every: number): Promise<void> {
  await world.sql(
    `insert into tracking_event (kind, message_id, subscriber_id, class, reason, rule_version, at)
     select 'click', m.id, m.subscriber_id, 'human', 'a test says so', 1, now() - interval '1 second'
     from message m where m.broadcast_id = $1 and m.arm = $2 and m.state = 'accepted' and m.id % $3 = 0`,
    [id, arm, every],
  );
}

async function decisionOf(world: World, id: string): Promise<SplitDecision | null> {
  const [row] = await world.sql<{ decision: SplitDecision | null }>(
    'select decision from broadcast where id = $1',
    [id],
  );
  return row?.decision ?? null;
}

/** Nobody outside the test has other words than those that won, and nobody has any before that is decided. */
function oneArm(world: World, id: string): () => Promise<string[]> {
  return async () => {
    const rows = await world.sql(
      `select 1 from message m join broadcast b on b.id = m.broadcast_id
       where b.id = $1 and m.arm is null and m.state <> 'held'
         and m.email_template_id is distinct from b.arm_template_ids[(b.decision ->> 'arm')::int + 1]`,
      [id],
    );
    return expectThat(rows.length === 0, `${rows.length} mails have not the words that won`);
  };
}
