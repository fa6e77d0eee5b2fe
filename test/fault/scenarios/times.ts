import { setTimeout as sleep } from 'node:timers/promises';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { mailTime, type BroadcastTiming, type LocalHour } from '../../../src/broadcasts/timing.js';
import { SENDER } from '../../support/mail-seed.js';
import { comesTrue } from '../patience.js';
import { harmAtPlaces, type Harm, type Place } from '../harm-at-places.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience, isPlanned, mailedOnce } from './broadcasts.js';

const JOB = 'broadcasts.plan';
/** Four batches. */
const PEOPLE = 6_500;
const HOUR_MS = 3_600_000;
const ZONES = [
  'Pacific/Auckland',
  'Asia/Kolkata',
  'Europe/Berlin',
  'America/New_York',
  'Pacific/Honolulu',
  null,
];
const STEPS = 4;

const PLANNING: readonly Place[] = [
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'sent' },
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'committed' },
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'sent', atEnd: true },
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'committed', atEnd: true },
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'sent', atEnd: true, hit: 2 },
];

interface MailOfReader {
  messageId: string;
  dueAt: Date;
  expiresAt: Date | null;
  plannedFor: Date | null;
  timeZone: string | null;
}

/** The hour on everybody's own clock, and the mails of each hour spread over the next ones. */
export const timeScenarios: readonly Scenario[] = [
  byTheClock('kill -9', 'nextDay'),
  byTheClock('kill -9', 'skip'),
  byTheClock('PostgreSQL crash', 'send'),
];

function byTheClock(harm: Harm, ifPassed: LocalHour['ifPassed']): Scenario {
  return {
    name: `broadcast by local time over 3 hours, passed: ${ifPassed}, ${harm} while planned and as the hours come`,
    covers: harm === 'kill -9' ? 'F1 F36 F40' : 'F4 F36 F40',
    short: false,
    mails: 1,
    crashesServer: harm !== 'kill -9',
    run: async (world) => {
      await audience(world, PEOPLE);
      await world.sql(`update subscriber set time_zone = ($1::text[])[1 + id % $2::int]`, [
        ZONES,
        ZONES.length,
      ]);
      const timing = timingNow(ifPassed);
      const id = await started(world, timing);
      world.mails += PEOPLE;
      await world.wake('delivery.send-due');
      const wrong = await harmAtPlaces(world, {
        ...{ harm, places: PLANNING, job: JOB },
        isOver: isPlanned(world, id),
      });
      wrong.push(...(await planned(world, id, timing)));
      for (let step = 1; step <= STEPS; step++) wrong.push(...(await hoursPass(world, { id, harm, step })));
      await world.finish();
      return [...wrong, ...(await mailedOnce(world, id, PEOPLE))];
    },
  };
}

/** The present hour in Berlin: passed in the east, still to come in the west. */
function timingNow(ifPassed: LocalHour['ifPassed']): BroadcastTiming {
  const berlin = new Date(Date.now() + HOUR_MS).toISOString().slice(0, 16);
  return { local: { atLocal: berlin, fallbackZone: 'UTC', ifPassed }, spreadMinutes: 180 };
}

async function started(world: World, timing: BroadcastTiming): Promise<string> {
  return world.inProduct(async ({ app }) => {
    const broadcasts = app.get(BroadcastsService, { strict: false });
    const { id } = await broadcasts.create({
      ...{ title: 'News', template: 'emails/story', audience: { everybody: true }, sender: SENDER },
      ...{ topic: null, expiresAt: null },
    });
    await broadcasts.start(id, null, timing);
    return id;
  });
}

/** Each mail has the time that it would have had without the harm. */
async function planned(world: World, id: string, timing: BroadcastTiming): Promise<string[]> {
  const isDone = async (): Promise<boolean> => {
    await world.wake(JOB);
    const done = await world.sql('select 1 from broadcast where id = $1 and planned_at is not null', [id]);
    return done.length === 1;
  };
  if (!(await comesTrue(isDone))) return ['it was never planned to its end'];
  const [moments] = await world.sql<{ scheduledAt: Date; startedAt: Date }>(
    'select scheduled_at as "scheduledAt", started_at as "startedAt" from broadcast where id = $1',
    [id],
  );
  if (!moments) return ['the broadcast is gone'];
  const mails = await world.sql<MailOfReader & Record<string, unknown>>(
    `select m.message_id_header as "messageId", m.due_at as "dueAt", m.expires_at as "expiresAt", m.planned_for as "plannedFor",
       s.time_zone as "timeZone" from message m join subscriber s on s.id = m.subscriber_id where m.broadcast_id = $1 order by s.id`,
    [id],
  );
  const others = mails.filter(({ dueAt, plannedFor, expiresAt, timeZone }, position) => {
    const time = mailTime(timing, moments, { timeZone, position });
    const same =
      dueAt.getTime() === time.dueAt.getTime() && plannedFor?.getTime() === time.plannedFor?.getTime();
    return !same || (expiresAt !== null) !== time.tooLate;
  });
  const hours = new Set(mails.map(({ dueAt }) => Math.floor(dueAt.getTime() / HOUR_MS)));
  return [
    ...expectThat(others.length === 0, `${others.length} mails are due at another time than they should be`),
    ...expectThat(hours.size >= 6, `all mails are due within ${hours.size} hours`),
  ];
}

/** A part of the mails comes due, and the harm with it; what is not due yet stays. The clock does not show their hours. */
async function hoursPass(
  world: World,
  { id, harm, step }: { id: string; harm: Harm; step: number },
): Promise<string[]> {
  await world.sql(
    `update message set due_at = clock_timestamp(), send_hours_id = null where broadcast_id = $1 and state = 'ready' and expires_at is null
       and due_at <= (select percentile_disc($2::float8) within group (order by due_at) from message where broadcast_id = $1 and state = 'ready' and expires_at is null)`,
    [id, 0.3],
  );
  const taken = world.sink.takenTotal;
  await world.wake();
  await world.takenReaches(taken + 1 + Math.floor(world.random() * 300));
  if (harm === 'kill -9') {
    await world.killAll();
    await world.ageLeases();
  } else {
    await world.cluster.crash();
    await world.cluster.restart();
  }
  if (world.live.length === 0) await world.start();
  const allGone = async (states: readonly string[]): Promise<boolean> =>
    comesTrue(async () => {
      await world.wake();
      const rows = await world.sql(
        'select 1 from message where state = any($1::text[]) and due_at <= clock_timestamp() limit 1',
        [states],
      );
      return rows.length === 0;
    });
  let sent = await allGone(['ready']);
  // A worker that lives through a crash of the database goes on; what it has claimed, and the answer was lost, waits for its lease.
  if (harm === 'PostgreSQL crash') {
    await world.stopAll();
    await world.ageLeases();
    await world.start();
  }
  sent &&= await allGone(['ready', 'leased']);
  await sleep(200);
  const early = await world.sql<{ messageId: string }>(
    `select message_id_header as "messageId" from message where state = 'ready' and due_at > clock_timestamp()`,
  );
  const gone = early.filter(({ messageId }) => world.sink.taken.has(messageId)).length;
  return [
    ...expectThat(sent, `step ${step}: what was due did not go out`),
    ...expectThat(gone === 0, `step ${step}: ${gone} mails went out before their time`),
  ];
}
