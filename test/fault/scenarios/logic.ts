import { setTimeout as sleep } from 'node:timers/promises';
import { installationKey, secretKey } from '../../../src/infra/secret-key.js';
import { encodeIds, signToken } from '../../../src/values/signed-token.js';
import { SENDER } from '../../support/mail-seed.js';
import { SECRET_KEY } from '../../support/worker-process.js';
import { comesTrue } from '../patience.js';
import { startWithApi, type ProductApi } from '../product-api.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience, mailedOnce } from './broadcasts.js';

/** Calls `act` with the address of the `hit`-th recipient, after its claim and before its body. */
function beforeTheBody(
  world: World,
  hits: ReadonlySet<number>,
  act: (address: string) => Promise<void>,
): void {
  world.sink.onStage = async ({ stage, hit, text }) => {
    const address = /<([^>]*)>/.exec(text)?.[1];
    if (stage === 'rcpt' && hits.has(hit) && address !== undefined) await act(address);
  };
}

const HITS: ReadonlySet<number> = new Set([3, 17, 40, 41, 42, 90, 150]);
const BROADCAST_PEOPLE = 600;

async function sendAll(world: World): Promise<void> {
  await world.release();
  await world.finish();
}

/** The mail to an address that a worker has claimed, and its reader. */
async function claimedMail(world: World, address: string): Promise<{ id: string; subscriberId: string }> {
  const [mail] = await world.sql<{ id: string; subscriberId: string }>(
    `select id, subscriber_id as "subscriberId" from message where address = $1 and state = 'leased'`,
    [address],
  );
  if (!mail) throw new Error(`no mail to ${address} is on its way`);
  return mail;
}

/** By the link that stands in the head of the mail. */
async function oneClick(world: World, api: ProductApi, address: string): Promise<void> {
  const { id, subscriberId } = await claimedMail(world, address);
  const db = { query: async (sql: string, values?: unknown[]) => world.sql(sql, values) };
  const key = await installationKey(db, await secretKey(SECRET_KEY, ''));
  const token = signToken(key, 'unsubscribe', encodeIds([subscriberId, id]));
  await api.reader(`u/${token}`, { 'List-Unsubscribe': 'One-Click' });
}

/** A table of people who left, taken in by the owner; resolves when it is done. */
async function importLeft(api: ProductApi, addresses: readonly string[]): Promise<Record<string, number>> {
  const csv = ['email,status', ...addresses.map((address) => `${address},unsubscribed`)].join('\n');
  const { id } = await api.owner<{ id: string }>('POST', 'imports', { csv });
  let job = { state: '', counts: {} as Record<string, number> };
  const done = await comesTrue(async () => {
    job = await api.owner('GET', `imports/${id}`);
    return job.state === 'done';
  });
  if (!done) throw new Error(`the import is ${job.state}`);
  return job.counts;
}

export const logicScenarios: readonly Scenario[] = [
  {
    name: 'unsubscribed between claim and barrier',
    covers: 'F28',
    short: true,
    mails: 200,
    run: async (world) => {
      const left: string[] = [];
      const api = await startWithApi(world);
      beforeTheBody(world, HITS, async (address) => {
        left.push(address);
        await oneClick(world, api, address);
      });
      await sendAll(world);
      return onlyTransactional(world, left);
    },
  },
  {
    name: 'table of people who left imported in the middle',
    covers: 'F29',
    short: false,
    mails: 300,
    run: async (world) => {
      const rows = await world.sql<{ email: string }>(
        'select email from subscriber where id % 2 = 0 order by id limit 200',
      );
      let counts: Record<string, number> = {};
      let committedAt = new Date();
      const api = await startWithApi(world);
      const takeIn = async (): Promise<void> => {
        const addresses = rows.map(({ email }) => email);
        counts = await importLeft(api, addresses);
        const [now] = await world.sql<{ at: Date }>('select clock_timestamp() as at');
        committedAt = now?.at ?? committedAt;
      };
      let taken: Promise<void> | null = null;
      // The mails that are claimed by then wait for it, too: it is their barrier that must hold them back.
      world.sink.onStage = async ({ stage, hit }) => {
        if (stage === 'rcpt' && hit >= 100) await (taken ??= takeIn());
      };
      await sendAll(world);
      // A barrier whose statement began before the commit may still write its instant after it.
      const reached = await world.sql(
        `select 1 from message m join subscriber s on s.id = m.subscriber_id
         where s.status = 'unsubscribed' and m.class = 'marketing' and m.state = 'accepted'
           and m.data_at > $1::timestamptz + interval '100 milliseconds'`,
        [committedAt],
      );
      return [
        ...expectThat(counts['left'] === rows.length, `${JSON.stringify(counts)} of ${rows.length} who left`),
        ...expectThat(reached.length === 0, `${reached.length} mails begun after their reader had left`),
      ];
    },
  },
  {
    name: 'people erased in the middle',
    covers: 'F31',
    short: false,
    mails: 200,
    run: async (world) => {
      const erased: string[] = [];
      const api = await startWithApi(world);
      beforeTheBody(world, HITS, async (address) => {
        erased.push(address);
        const { subscriberId } = await claimedMail(world, address);
        await api.owner('DELETE', `subscribers/${subscriberId}`);
      });
      await sendAll(world);
      const got = erased.filter((address) => [...world.sink.recipients.values()].includes(address));
      return [
        ...expectThat(erased.length === HITS.size, `only ${erased.length} people were erased`),
        ...expectThat(got.length === 0, `${got.length} erased people got their mail`),
      ];
    },
  },
  {
    name: 'broadcast paused and resumed x20',
    covers: 'F30',
    short: false,
    mails: 1,
    run: async (world) => {
      await audience(world, BROADCAST_PEOPLE);
      const api = await startWithApi(world);
      const id = await startedByApi(api);
      world.mails += BROADCAST_PEOPLE;
      let sentWhilePaused = 0;
      for (let n = 1; n <= 20; n++) {
        await world.takenReaches(Math.min(world.sink.takenTotal + 10, world.mails - 1));
        await api.owner('POST', `broadcasts/${id}/pause`).catch(() => undefined);
        // What had passed the barrier before is still on its way.
        await sleep(200);
        await comesTrue(async () => (await world.inBodies()) === 0);
        const taken = world.sink.takenTotal;
        await world.wake();
        await sleep(100);
        sentWhilePaused += world.sink.takenTotal - taken;
        await api.owner('POST', `broadcasts/${id}/resume`).catch(() => undefined);
        await world.hurry();
      }
      await world.finish();
      return [
        ...expectThat(
          sentWhilePaused <= world.lanes,
          `${sentWhilePaused} mails left while the broadcast was paused`,
        ),
        ...(await mailedOnce(world, id, BROADCAST_PEOPLE)),
      ];
    },
  },
];

/** To everybody, at once. */
async function startedByApi(api: ProductApi): Promise<string> {
  const { id } = await api.owner<{ id: string }>('POST', 'broadcasts', {
    ...{ title: 'News', template: 'emails/story', audience: { everybody: true }, sender: SENDER },
  });
  await api.owner('POST', `broadcasts/${id}/start`, {});
  return id;
}

async function onlyTransactional(world: World, addresses: readonly string[]): Promise<string[]> {
  const rows = await world.sql<{ count: number }>(
    `select count(*)::int as count from message where class = 'marketing' and address = any($1) and state <> 'suppressed'`,
    [addresses],
  );
  const reached = await world.sql<{ messageId: string }>(
    `select message_id_header as "messageId" from message where class = 'marketing' and address = any($1)`,
    [addresses],
  );
  const taken = reached.filter(({ messageId }) => world.sink.taken.has(messageId)).length;
  return [
    ...expectThat(addresses.length === HITS.size, `only ${addresses.length} people left`),
    ...expectThat(rows[0]?.count === 0, `${rows[0]?.count} mails of people who had left are not suppressed`),
    ...expectThat(taken === 0, `${taken} people got a mail after they had left`),
  ];
}
