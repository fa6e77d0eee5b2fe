import { setTimeout as sleep } from 'node:timers/promises';
import { DemoService } from '../../../src/funnels/demo.service.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { EnrollmentsService } from '../../../src/sequences/enrollments.service.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

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

async function sendAll(world: World): Promise<void> {
  await world.start();
  await world.release();
  await world.finish();
}

export const logicScenarios: readonly Scenario[] = [
  {
    name: 'unsubscribed between claim and barrier',
    covers: 'F28',
    short: true,
    mails: 200,
    run: async (world) => {
      const left: string[] = [];
      beforeTheBody(world, HITS, async (address) => {
        left.push(address);
        await world.sql(`update subscriber set status = 'unsubscribed' where email = $1`, [address]);
      });
      await sendAll(world);
      return onlyTransactional(world, left);
    },
  },
  {
    name: 'suppression list imported in the middle',
    covers: 'F29',
    short: false,
    mails: 300,
    run: async (world) => {
      const suppressed: string[] = [];
      let committedAt = new Date();
      beforeTheBody(world, new Set([100]), async () => {
        const rows = await world.sql<{ id: string }>(
          `insert into suppression (email_hash, scope, reason, source, created_at)
           select address_hash, 'all', 'manual', 'import', now() from message where state in ('ready', 'leased') returning id`,
        );
        suppressed.push(...rows.map(({ id }) => id));
        const [now] = await world.sql<{ at: Date }>('select clock_timestamp() as at');
        committedAt = now?.at ?? committedAt;
      });
      await sendAll(world);
      // A barrier whose statement began before the commit may still write its instant after it.
      const reached = await world.sql(
        `select 1 from message m join suppression x on x.email_hash = m.address_hash
         where m.state = 'accepted' and m.data_at > $1::timestamptz + interval '100 milliseconds'`,
        [committedAt],
      );
      return [
        ...expectThat(suppressed.length > 0, 'nobody was suppressed'),
        ...expectThat(
          reached.length === 0,
          `${reached.length} mails begun after their address was suppressed`,
        ),
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
      beforeTheBody(world, HITS, async (address) => {
        erased.push(address);
        // As the product erases: what waits is cancelled, then the person is gone.
        await world.sql(
          `with m as (update message set state = 'cancelled', state_reason = 'erased', settled_at = clock_timestamp(), lease_until = null
             where address = $1 and state in ('ready', 'leased') returning subscriber_id)
           delete from subscriber where email = $1 and exists (select 1 from m)`,
          [address],
        );
      });
      await sendAll(world);
      const got = erased.filter((address) => [...world.sink.recipients.values()].includes(address));
      return expectThat(got.length === 0, `${got.length} erased people got their mail`);
    },
  },
  {
    name: 'broadcast paused and resumed x20',
    covers: 'F30',
    short: false,
    mails: 600,
    run: async (world) => {
      await asBroadcast(world);
      await world.start();
      await world.release();
      let sentWhilePaused = 0;
      for (let n = 1; n <= 20; n++) {
        await world.takenReaches(Math.min(world.sink.takenTotal + 10, world.mails));
        await world.sql(`update broadcast set state = 'paused'`);
        // What had passed the barrier before is still on its way.
        await sleep(200);
        const taken = world.sink.takenTotal;
        await world.wake();
        await sleep(100);
        sentWhilePaused += world.sink.takenTotal - taken;
        await world.sql(`update broadcast set state = 'running'`);
        await world.sql(`update message set state = 'ready' where state = 'held'`);
        await world.wake();
      }
      await world.finish();
      return expectThat(
        sentWhilePaused <= world.lanes,
        `${sentWhilePaused} mails left while the broadcast was paused`,
      );
    },
  },
  {
    name: 'sequence advanced by two workers at once, kill -9',
    covers: 'F33 F39',
    short: false,
    mails: 10,
    run: async (world) => {
      const people = await enrollEverybody(world);
      await world.start(2);
      const until = Date.now() + 3_000;
      while (Date.now() < until) {
        await world.wake('sequences.advance-due');
        await sleep(20);
      }
      await world.live[0]?.kill();
      await world.start();
      await world.wake('sequences.advance-due');
      const planned = async (): Promise<number> =>
        (
          await world.sql<{ count: number }>(
            `select count(*)::int as count from message where kind = 'sequence'`,
          )
        )[0]?.count ?? 0;
      await becomesTrue(async () => (await planned()) >= people, 20_000);
      world.mails += people;
      await world.release();
      await world.finish();
      return expectThat((await planned()) === people, `${await planned()} first steps for ${people} people`);
    },
  },
];

/** Everything planned becomes one broadcast that runs. */
async function asBroadcast(world: World): Promise<void> {
  await world.sql(
    `with b as (insert into broadcast (title, email_template_id, sender, state, created_at)
       select 'Fault', max(email_template_id), '{}', 'running', now() from message returning id)
     update message set broadcast_id = b.id, class = 'marketing' from b`,
  );
}

/** The demo funnel's sequence, joined by all readers through the product. */
async function enrollEverybody(world: World): Promise<number> {
  return world.inProduct(async ({ app, dataSource }) => {
    await app.get(DemoService).applyAll();
    return dataSource.transaction(async (manager) => {
      const rows: { id: string }[] = await manager.query('select id from subscriber order by id limit 300');
      const [sequence]: { key: string }[] = await manager.query('select key from sequence');
      for (const { id } of rows)
        await app
          .get(EnrollmentsService)
          .enroll(manager, { sequenceKey: sequence?.key ?? '', subscriberId: id, data: {} });
      return rows.length;
    });
  });
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
