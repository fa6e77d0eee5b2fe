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
    short: true,
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
    short: true,
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
];

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
