import { BroadcastResends } from '../../../src/broadcasts/broadcast-resends.service.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { comesTrue } from '../patience.js';
import { harmAtPlaces, type Harm, type Place } from '../harm-at-places.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience, isPlanned, mailedOnce, startBroadcast } from './broadcasts.js';

const JOB = 'broadcasts.plan';
const PEOPLE = 6_500;
const DRAFTS_AT_ONCE = 10;

const PLACES: readonly Place[] = [
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'sent' },
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'sent', atEnd: true },
  { statement: 'update broadcast set cursor_subscriber_id', moment: 'committed', atEnd: true },
];

/** The same news once more, to those who did not open the first mail or did not click in it. */
export const resendScenarios: readonly Scenario[] = [
  again('opened', 'kill -9'),
  again('clicked', 'kill -9'),
  again('clicked', 'PostgreSQL crash'),
];

function again(unless: 'opened' | 'clicked', harm: Harm): Scenario {
  return {
    name: `broadcast once more unless ${unless}, ${harm} while it is planned and sent`,
    covers: harm === 'kill -9' ? 'F1 F36 F37' : 'F4 F36 F37',
    short: false,
    mails: 1,
    crashesServer: harm !== 'kill -9',
    run: async (world) => {
      await audience(world, PEOPLE);
      await world.start();
      const first = await world.inProduct(async (context) => (await startBroadcast(context)).id);
      world.mails += PEOPLE;
      await world.release();
      await world.takenReaches(PEOPLE / 2);
      if (harm === 'kill -9') await world.killAll();
      await world.finish();
      const isDone = async (): Promise<boolean> => {
        await world.wake(JOB);
        const rows = await world.sql(`select 1 from broadcast where id = $1 and planned_at is not null`, [
          first,
        ]);
        return rows.length === 1;
      };
      await comesTrue(isDone);
      await act(world, first);
      const expected = await unreached(world, first, unless);
      await world.stopAll();
      const { id, wrong } = await once(world, first, unless);
      world.mails += expected.size;
      wrong.push(
        ...(await harmAtPlaces(world, { harm, places: PLACES, job: JOB, isOver: isPlanned(world, id) })),
      );
      await world.takenReaches(PEOPLE + Math.floor(world.random() * 500));
      if (harm === 'kill -9') await world.killAll();
      await comesTrue(async () => {
        if (world.live.length === 0) await world.start();
        await world.wake(JOB);
        const [row] = await world.sql<{ state: string }>('select state from broadcast where id = $1', [id]);
        return row?.state !== 'planning' && row?.state !== 'scheduled';
      });
      await world.finish();
      const rows = await world.sql<{ id: string }>(
        'select subscriber_id as id from message where broadcast_id = $1',
        [id],
      );
      const strangers = rows.filter((row) => !expected.has(row.id)).length;
      return [
        ...wrong,
        ...expectThat(strangers === 0, `${strangers} people got it again who should not`),
        ...(await mailedOnce(world, first, PEOPLE)),
        ...(await mailedOnce(world, id, expected.size)),
      ];
    },
  };
}

/**
 * A third of the readers have opened the mail and a tenth clicked in it; what machines did says nothing. Not of mails that
 * are unknown: an opening shows that they arrived.
 */
async function act(world: World, first: string): Promise<void> {
  await world.sql(
    `insert into tracking_event (kind, message_id, subscriber_id, class, reason, rule_version, at)
     select d.kind, m.id, m.subscriber_id, d.class, 'a test says so', 1, now()
     from message m join (values ('open', 'human', 3), ('click', 'human', 10), ('open', 'proxy', 2), ('click', 'scanner', 4))
       as d (kind, class, every) on m.id % d.every = 0
     where m.broadcast_id = $1 and m.state = 'accepted'`,
    [first],
  );
}

async function unreached(world: World, first: string, unless: 'opened' | 'clicked'): Promise<Set<string>> {
  const rows = await world.sql<{ id: string }>(
    `select m.subscriber_id as id from message m where m.broadcast_id = $1 and m.state = 'accepted'
       and m.id % 10 <> 0 and (m.id % 3 <> 0 or $2)`,
    [first, unless === 'clicked'],
  );
  return new Set(rows.map(({ id }) => id));
}

/** However often it is asked for, and started, at once. */
async function once(
  world: World,
  first: string,
  unless: 'opened' | 'clicked',
): Promise<{ id: string; wrong: string[] }> {
  return world.inProduct(async ({ app }) => {
    const resends = app.get(BroadcastResends, { strict: false });
    const broadcasts = app.get(BroadcastsService, { strict: false });
    const many = Array.from({ length: DRAFTS_AT_ONCE }, (_, n) => n);
    const drafts = await Promise.allSettled(
      many.map(async (n) =>
        resends.draft(first, { subject: `Have you seen this? ${n}`, template: null, title: null, unless }),
      ),
    );
    const made = drafts.flatMap((draft) => (draft.status === 'fulfilled' ? [draft.value.id] : []));
    const id = made[0] ?? '';
    await Promise.all(many.map(async () => broadcasts.start(id, null)));
    return { id, wrong: expectThat(made.length === 1, `${made.length} drafts of one resend`) };
  });
}
