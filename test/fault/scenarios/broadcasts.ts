import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandContext } from '../../../src/application.js';
import { BroadcastWords } from '../../../src/broadcasts/broadcast-words.service.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { SENDER } from '../../support/mail-seed.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

const CLICKS = 10_000;
const CLICKS_AT_ONCE = 40;
/** More than all lanes may have under way. */
const KEPT = 100;

/** Broadcasts as the owner handles them: written, started, paused and cancelled through the product. */
export const broadcastScenarios: readonly Scenario[] = [
  {
    name: 'broadcast paused, kill -9 in the same moment, resumed, x4',
    covers: 'F30 F36',
    short: false,
    mails: 1,
    run: async (world) =>
      withBroadcast(world, 500, async (broadcasts, id) => {
        const wrong: string[] = [];
        const letGo = keepSome(world);
        for (let n = 1; n <= 4; n++) {
          await world.takenReaches(n * 60);
          wrong.push(...(await stands(world, async () => broadcasts.pause(id))));
          await broadcasts.resume(id);
          await world.hurry();
        }
        letGo();
        await world.finish();
        return wrong;
      }),
  },
  {
    name: 'words of a paused broadcast changed, kill -9 in the same moment, resumed, x4',
    covers: 'F30 F35 F36',
    short: false,
    mails: 1,
    run: async (world) =>
      withBroadcast(world, 500, async (broadcasts, id, { app }) => {
        const words = app.get(BroadcastWords, { strict: false });
        const subjects = new Map<string, string>();
        world.sink.subjects = subjects;
        const gone: ReadonlySet<string>[] = [];
        const wrong: string[] = [];
        const letGo = keepSome(world);
        for (let n = 1; n <= 4; n++) {
          await world.takenReaches(n * 60);
          const change = async (): Promise<unknown> => {
            await broadcasts.pause(id);
            return words.edit(id, { subject: `Words ${n}` });
          };
          wrong.push(...(await stands(world, change)));
          gone.push(new Set(subjects.keys()));
          await broadcasts.resume(id);
          await world.hurry();
        }
        letGo();
        await world.finish();
        return [...wrong, ...(await wordsAreRight(world, subjects, gone))];
      }),
  },
  {
    name: 'broadcast cancelled, kill -9 in the same moment',
    covers: 'F36',
    short: true,
    mails: 1,
    run: async (world) =>
      withBroadcast(world, 400, async (broadcasts, id) => {
        const letGo = keepSome(world);
        await world.takenReaches(80);
        const wrong = await stands(world, async () => broadcasts.cancel(id).then(letGo));
        await world.finish();
        const { counts } = await world.verdict();
        return [...wrong, ...expectThat((counts['cancelled'] ?? 0) > 0, 'nothing was left to cancel')];
      }),
  },
  {
    name: 'kill -9 while a broadcast is planned, x3',
    covers: 'F1 F36',
    short: false,
    mails: 1,
    run: async (world) =>
      withBroadcast(world, 8_000, async (broadcasts, id) => {
        let kills = 0;
        for (let batches = 1; batches <= 3; batches++) {
          const reached = async (): Promise<boolean> => (await broadcasts.get(id)).planned >= batches * 2_000;
          await comesTrue(reached);
          await sleep(Math.floor(world.random() * 40));
          if ((await broadcasts.get(id)).state === 'planning') kills++;
          await world.killAll();
          await world.ageLeases();
          await world.start();
          await world.wake('broadcasts.plan');
        }
        await comesTrue(async () => (await broadcasts.get(id)).state !== 'planning');
        await world.finish();
        return expectThat(kills > 0, 'planning was over before the first kill');
      }),
  },
  {
    name: `broadcast started by ${CLICKS} clicks, two workers`,
    covers: 'F37',
    short: false,
    mails: 1,
    run: async (world) => {
      await world.start();
      return withBroadcast(world, 500, async (broadcasts, id) => {
        let clicks = 1;
        const click = async (): Promise<void> => {
          while (clicks++ < CLICKS) await broadcasts.start(id, null);
        };
        await Promise.all(Array.from({ length: CLICKS_AT_ONCE }, click));
        await world.finish();
        const rows = await world.sql<{ count: number }>('select count(*)::int as count from broadcast');
        return expectThat(rows[0]?.count === 1, `${rows[0]?.count} broadcasts after one was started`);
      });
    },
  },
];

/** A broadcast to `people` readers, started and being sent by one worker more. */
export async function withBroadcast(
  world: World,
  people: number,
  work: (broadcasts: BroadcastsService, id: string, context: CommandContext) => Promise<string[]>,
): Promise<string[]> {
  await audience(world, people);
  await world.start();
  return world.inProduct(async (context) => {
    const { broadcasts, id } = await startBroadcast(context);
    world.mails += people;
    await world.release();
    return work(broadcasts, id, context);
  });
}

/** Each mail has the words that the ledger says it has, and none that left behind a change has those of before. */
async function wordsAreRight(
  world: World,
  subjects: ReadonlyMap<string, string>,
  gone: readonly ReadonlySet<string>[],
): Promise<string[]> {
  const rows = await world.sql<{ messageId: string; subject: string }>(
    `select m.message_id_header as "messageId", t.subject from message m join email_template t on t.id = m.email_template_id
     where m.broadcast_id is not null`,
  );
  const numberOf = (subject: string): number => Number(/^Words (\d)$/.exec(subject)?.[1] ?? 0);
  const taken = rows.flatMap(({ messageId, subject }) => {
    const got = subjects.get(messageId);
    return got === undefined ? [] : [{ messageId, written: numberOf(subject), got: numberOf(got) }];
  });
  const otherwise = taken.filter(({ written, got }) => written !== got).length;
  const old = gone.map(
    (before, nth) => taken.filter(({ messageId, got }) => !before.has(messageId) && got <= nth).length,
  );
  const versions = new Set(taken.map(({ got }) => got));
  return [
    ...expectThat(otherwise === 0, `${otherwise} mails have other words than the ledger says`),
    ...expectThat(
      old.every((count) => count === 0),
      `${old.join(', ')} mails left with the words of before`,
    ),
    ...expectThat(versions.size > 1, 'no mail left with new words'),
  ];
}

/** To everybody, at once. */
export async function startBroadcast({
  app,
}: CommandContext): Promise<{ broadcasts: BroadcastsService; id: string }> {
  const broadcasts = app.get(BroadcastsService, { strict: false });
  const { id } = await broadcasts.create({
    title: 'News',
    template: 'emails/story',
    audience: { everybody: true },
    sender: SENDER,
    topic: null,
    expiresAt: null,
  });
  await broadcasts.start(id, null);
  return { broadcasts, id };
}

/** So many active readers, those of the seed or more of them. */
export async function audience(world: World, count: number): Promise<void> {
  await world.sql(
    `delete from subscriber where id > (select id from subscriber order by id offset $1 limit 1)`,
    [count - 1],
  );
  await world.sql(
    `insert into subscriber (email, email_key, name, status, time_zone, locale, created_at, confirmed_at, updated_at)
     select 'more-' || n || '@example.net', 'more-' || n || '@example.net', 'Reader', 'active', 'UTC', 'en', now(), now(), now()
     from generate_series((select count(*)::int from subscriber) + 1, $1) n`,
    [count],
  );
}

/** Each mailbox has one mail of the broadcast in the ledger, and got one of them at most. */
export async function mailedOnce(world: World, id: string, people: number): Promise<string[]> {
  const rows = await world.sql<{ messageId: string; address: string }>(
    `select message_id_header as "messageId", lower(address) as address from message where broadcast_id = $1`,
    [id],
  );
  const mailboxes = new Set(rows.map(({ address }) => address));
  const got = rows.flatMap(({ messageId }) => world.sink.recipients.get(messageId)?.toLowerCase() ?? []);
  return [
    ...expectThat(
      rows.length === people && mailboxes.size === people,
      `${rows.length} mails to ${mailboxes.size} mailboxes, ${people} were to get one`,
    ),
    ...expectThat(new Set(got).size === got.length, `${got.length - new Set(got).size} mailboxes got two`),
  ];
}

/** Until what is returned is called, the relay leaves the last ones waiting, or a fast machine would be done too soon. */
export function keepSome({ sink, mails }: World, kept = KEPT): () => void {
  let letGo = (): void => undefined;
  const over = new Promise<void>((resolve) => (letGo = resolve));
  sink.onStage = async ({ stage }) => {
    if (stage === 'mail' && sink.takenTotal >= mails - kept) await over;
  };
  return () => {
    sink.onStage = null;
    letGo();
  };
}

/** After the owner's word and a kill, whoever comes next sends nothing more: what had passed the barrier may still arrive. */
export async function stands(world: World, word: () => Promise<unknown>): Promise<string[]> {
  const before = Math.floor(world.random() * 30);
  await word();
  const taken = world.sink.takenTotal;
  await sleep(before);
  await world.killAll();
  await world.ageLeases();
  await world.start();
  await world.wake('delivery.reap');
  // Until nothing is claimable any more: then the new worker has looked at all that is due. What several kills have hit comes
  // up apart, minutes later.
  const looked = async (): Promise<boolean> => {
    await world.hurry();
    const { ready, leased } = await world.openRows();
    return ready + leased === 0;
  };
  const ended = await comesTrue(looked);
  const after = world.sink.takenTotal - taken;
  return [
    ...expectThat(ended, 'mails of a broadcast that stands still were neither held nor cancelled'),
    ...expectThat(
      after <= world.lanes,
      `${after} mails left after the owner's word, over ${world.lanes} lanes`,
    ),
  ];
}

/** Whether every mail of the broadcast is planned. */
export function isPlanned(world: World, id: string): () => Promise<boolean> {
  return async () => {
    const rows = await world.sql('select 1 from broadcast where id = $1 and planned_at is not null', [id]);
    return rows.length === 1;
  };
}
