import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../src/infra/free-port.js';
import { comes, comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

/** The relay's answers are known, so trouble with the database alone must leave nothing unknown. */
async function nothingUnknown(world: World): Promise<string[]> {
  const rows = await world.sql(`select 1 from message where state = 'unknown'`);
  return expectThat(rows.length === 0, `${rows.length} unknown without a crash of a worker`);
}

export const databaseScenarios: readonly Scenario[] = [
  crashes({ name: 'PostgreSQL crash x2, one worker', workers: 1, mails: 500, times: 2, short: true }),
  crashes({ name: 'PostgreSQL crash x4, two workers', workers: 2, mails: 1_500, times: 4, short: false }),
  {
    name: 'PostgreSQL crash and kill -9 together',
    covers: 'F1 F4',
    short: false,
    mails: 800,
    crashesServer: true,
    run: async (world) => {
      await world.start();
      await world.release();
      for (let n = 1; n <= 3; n++) {
        await world.takenReaches(n * 150);
        await Promise.all([world.cluster.crash(), world.killAll()]);
        await world.cluster.restart();
        await world.ageLeases();
        await world.start();
        await world.hurry();
      }
      await world.finish();
    },
  },
  {
    name: 'pg_terminate_backend x10',
    covers: 'F5',
    short: false,
    mails: 500,
    run: async (world) => {
      await world.start();
      await world.release();
      for (let n = 1; n <= 10; n++) {
        await world.takenReaches(n * 40);
        await world.sql(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
        );
        await world.hurry();
      }
      await world.finish();
      return nothingUnknown(world);
    },
  },
  onTheWay({
    name: 'PostgreSQL crash with a claim, a barrier, an end on its way',
    covers: 'F4',
    crashesServer: true,
    harm: async (world) => {
      await world.cluster.crash();
      await world.cluster.restart();
    },
  }),
  onTheWay({
    name: 'pg_terminate_backend with a claim, a barrier, an end on its way',
    covers: 'F5',
    crashesServer: false,
    harm: async (world) => {
      await world.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      );
    },
  }),
  {
    name: 'commits whose answers are lost',
    covers: 'F1 F5',
    short: true,
    mails: 500,
    run: async (world) => {
      await world.start();
      world.proxy.loseAnswers = 0.02;
      await world.release();
      await world.takenReaches(350);
      world.proxy.loseAnswers = 0;
      await world.finish();
      return [...(await nothingUnknown(world)), ...expectThat(world.proxy.lost > 0, 'no answer was lost')];
    },
  },
  unreachable('database unreachable for 5 s', 5_000, false),
  unreachable('database unreachable for 60 s', 60_000, false),
  hangs('network to the database drops everything for 45 s', 'network'),
  hangs('network forgets the connections there are', 'connections'),
  hangs('PostgreSQL stands still (SIGSTOP) for 45 s', 'server'),
  {
    name: 'row locks held against barrier and settle',
    covers: 'F8',
    short: false,
    mails: 300,
    run: async (world) => {
      await world.sql(`alter database ${world.database} set lock_timeout = '300ms'`);
      await world.start();
      await world.release();
      await world.takenReaches(50);
      for (let n = 0; n < 3; n++) {
        await world.cluster.as(world.database, async (client) => {
          await client.query('begin');
          await client.query('set local lock_timeout = 0');
          await client.query(`select 1 from message where state = 'leased' for update`);
          await sleep(900);
          await client.query('rollback');
        });
        await world.hurry();
      }
      await world.finish();
      const hit = world.workers.some(({ output }) => output.includes('lock timeout'));
      return [...(await nothingUnknown(world)), ...expectThat(hit, 'the worker waited for no lock too long')];
    },
  },
  {
    name: 'deadlocks with barrier and settle',
    covers: 'F8',
    short: false,
    mails: 400,
    run: async (world) => {
      await world.start();
      await world.release();
      await world.takenReaches(50);
      let closed = 0;
      for (let tries = 0; closed < 3 && tries < 20; tries++) {
        if (await crossLocks(world)) closed++;
        await world.hurry();
      }
      await world.finish();
      const hit = world.workers.some(({ output }) => output.includes('deadlock detected'));
      return [...(await nothingUnknown(world)), ...expectThat(hit, 'the worker was in no deadlock')];
    },
  },
  {
    name: 'serialization failures, two workers',
    covers: 'F8 F9',
    short: false,
    mails: 600,
    run: async (world) => {
      // As an owner may set it, for all who use the server.
      await world.sql(
        `alter database ${world.database} set default_transaction_isolation = 'repeatable read'`,
      );
      await world.start(2);
      await world.release();
      for (let n = 1; n <= 8; n++) {
        await world.takenReaches(n * 40);
        await changeUnderThem(world);
        await world.hurry();
      }
      await world.finish();
      const hit = world.workers.some(({ output }) => output.includes('could not serialize access'));
      return [
        ...(await nothingUnknown(world)),
        ...expectThat(!hit, 'a statement of the workers failed to be serialized'),
      ];
    },
  },
  {
    name: 'barrier and settle cancelled by PostgreSQL',
    covers: 'F8',
    short: false,
    mails: 400,
    run: async (world) => {
      await world.start();
      await world.release();
      await world.takenReaches(50);
      let cancelled = 0;
      for (let n = 0; n < 8; n++) {
        cancelled += await cancelWaiting(world);
        await world.hurry();
      }
      await world.finish();
      return [
        ...(await nothingUnknown(world)),
        ...expectThat(cancelled > 0, 'no statement was there to be cancelled'),
      ];
    },
  },
];

/** Holds what is on its way, so that a statement of the ledger waits in the middle of its work, and cancels that. */
async function cancelWaiting(world: World): Promise<number> {
  return world.cluster.as(world.database, async (client) => {
    await client.query('begin');
    // Skipped: what the worker holds at this moment, with which this would come to a deadlock.
    await client.query(`select 1 from message where state = 'leased' for update skip locked`);
    await sleep(200);
    const { rowCount } = await client.query(
      `select pg_cancel_backend(pid) from pg_stat_activity where datname = current_database()
         and state = 'active' and query like '%with given as%' and pid <> pg_backend_pid()`,
    );
    await client.query('rollback');
    return rowCount ?? 0;
  });
}

/** Whoever waits for these rows as isolated as that sees them as they were, and may not write over what is committed here. */
async function changeUnderThem(world: World): Promise<void> {
  await world.cluster.as(world.database, async (client) => {
    await client.query('begin isolation level read committed');
    await client.query(
      `update message set due_at = due_at where id in (
         select id from message where state = 'leased' for update skip locked)`,
    );
    await sleep(200);
    await client.query('commit');
  });
}

/**
 * Closes a circle of locks with a statement of the ledger, which then is the one that finds it and ends. Whether it did: the
 * statement may hold nothing yet when it comes to the locked row.
 */
async function crossLocks(world: World): Promise<boolean> {
  return world.cluster.as(world.database, async (client) => {
    const lock = async (order: 'asc' | 'desc'): Promise<boolean> =>
      (await client.query(`${IN_BODY} order by data_at ${order} limit 1 for update skip locked`)).rowCount ===
      1;
    const { rows: me } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    // Past this transaction, which would see again and again who was waiting as it looked first.
    const isWaitedFor = async (): Promise<boolean> => (await world.sql(WAITING_FOR, [me[0]?.pid])).length > 0;
    await client.query('begin');
    await client.query(`set local deadlock_timeout = '1min'`);
    // It is held up at the mail that ends first until the others wait as well, and then goes on to the one that ends last.
    let isClosed = await lock('desc');
    await client.query('savepoint gathering');
    isClosed &&= (await lock('asc')) && (await comesTrue(isWaitedFor));
    await sleep(200);
    await client.query('rollback to gathering');
    isClosed &&= await comesTrue(isWaitedFor);
    const { rows } = isClosed ? await client.query<{ id: string }>(HELD_BY_OTHERS) : { rows: [] };
    for (const { id } of rows.slice(0, 1))
      await client.query('select 1 from message where id = $1 for update', [id]);
    await client.query('rollback');
    return rows.length > 0;
  });
}

const IN_BODY = `select id from message where state = 'leased' and data_at is not null`;
const WAITING_FOR = `
select 1 from pg_stat_activity where datname = current_database() and query like '%with given as%'
  and $1::int = any(pg_blocking_pids(pid))`;
const HELD_BY_OTHERS = `
with free as (select id from message where state = 'leased' for update skip locked)
select id from message where state = 'leased' and id not in (select id from free)`;

function crashes(options: {
  name: string;
  workers: number;
  mails: number;
  times: number;
  short: boolean;
}): Scenario {
  const { name, workers, mails, times, short } = options;
  return {
    name,
    covers: workers === 1 ? 'F4' : 'F4 F9',
    short,
    mails,
    crashesServer: true,
    run: async (world) => {
      await world.start(workers);
      await world.release();
      for (let n = 1; n <= times; n++) {
        await world.takenReaches(Math.floor((mails / (times + 1)) * n));
        await sleep(Math.floor(world.random() * 50));
        await world.cluster.crash();
        await world.cluster.restart();
        await world.hurry();
      }
      await world.finish();
      return nothingUnknown(world);
    },
  };
}

/** The harm comes as the server has the statement, and once more as it has answered and nobody has heard it. */
function onTheWay(options: {
  name: string;
  covers: string;
  crashesServer: boolean;
  harm: (world: World) => Promise<void>;
}): Scenario {
  const { harm, ...facts } = options;
  const cases = [
    // One claim takes a few hundred mails; a second is not sure to come.
    ...(['sent', 'committed'] as const).map((moment) => ({ statement: 'ledger-claim', moment, most: 1 })),
    // Barriers alone, then ends with barriers: whatever the lanes ask and tell goes together.
    ...[1, 6, 6].flatMap((most) =>
      (['sent', 'committed'] as const).map((moment) => ({ statement: 'ledger-write', moment, most })),
    ),
  ];
  return {
    ...facts,
    short: false,
    mails: 1_500,
    run: async (world) => {
      await world.start();
      let done = 0;
      for (const { statement, moment, most } of cases) {
        const came = new Promise<void>((resolve) => {
          const hit = 1 + Math.floor(world.random() * most);
          world.proxy.statementFault = { statement, moment, hit, act: resolve };
        });
        await (done === 0 ? world.release() : world.hurry());
        if (!(await comes(came))) break;
        await harm(world);
        done++;
        // Mails of a claim whose answer was lost belong to nobody; what is with the relay stays as it is.
        await world.sql(
          `update message set lease_until = lease_until - interval '1 hour' where state = 'leased'`,
        );
      }
      await world.finish();
      return [
        ...(await nothingUnknown(world)),
        ...expectThat(done === cases.length, `${done} of ${cases.length} statements came`),
      ];
    },
  };
}

function unreachable(name: string, ms: number, short: boolean): Scenario {
  return {
    name,
    covers: 'F6',
    short,
    run: async (world) => {
      await world.start();
      await world.release();
      await world.takenReaches(60);
      world.proxy.shut();
      await sleep(500);
      const taken = world.sink.takenTotal;
      await sleep(ms - 500);
      const wrong = expectThat(world.sink.takenTotal === taken, 'mails went out while the ledger was away');
      world.proxy.open();
      await world.finish();
      return [...wrong, ...(await nothingUnknown(world))];
    },
  };
}

const HANGS_MS = 45_000;
/** Ten seconds of silence, ten for the question whether the server is there, and a new connection. */
const ANSWERED_WITHIN_MS = 42_000;

/** Nothing ends and nothing answers: a lane and a page get their error in bounded time, and go on afterwards. */
function hangs(name: string, what: 'network' | 'connections' | 'server'): Scenario {
  return {
    name,
    covers: 'F6',
    short: false,
    mails: 1_000,
    crashesServer: what === 'server',
    run: async (world) => {
      const port = String(await freePort());
      await world.start(1, { env: { ROLES: 'web,worker', PORT: port, HOST: '127.0.0.1' } });
      await world.release();
      await world.takenReaches(60);
      const wrong: string[] = [];
      const asked = async (): Promise<void> => {
        const startedMs = performance.now();
        const page = fetch(`http://127.0.0.1:${port}/p/nothing`).then(async (answer) => answer.text());
        const answered = await Promise.race([
          page.then(() => true),
          sleep(ANSWERED_WITHIN_MS, false, { ref: false }),
        ]);
        wrong.push(...expectThat(answered, `a page was not answered within ${ANSWERED_WITHIN_MS / 1_000} s`));
        await sleep(Math.max(0, HANGS_MS - (performance.now() - startedMs)));
      };
      if (what === 'server') await world.cluster.standingStill(asked);
      else {
        world.proxy.silence({ connections: what === 'network' ? 'all' : 'present' });
        if (what === 'network') await asked();
      }
      const taken = world.sink.takenTotal;
      if (what !== 'connections') world.proxy.speak();
      const goesOn = await comesTrue(async () => world.sink.takenTotal > taken);
      wrong.push(...expectThat(goesOn, 'nothing was sent after it answered again'));
      await world.finish();
      return [...wrong, ...(await nothingUnknown(world))];
    },
  };
}
