import type { BroadcastDraft } from '../../../src/broadcasts/broadcast.js';
import { BroadcastPlanner } from '../../../src/broadcasts/broadcast-planner.service.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import type { Split } from '../../../src/broadcasts/split.js';
import { OverdueService } from '../../../src/delivery/waiting/overdue.service.js';
import type { DnsResolver } from '../../../src/infra/dns.js';
import { OPENED_AT, openPostOffice, SENDER, type PostOffice } from '../delivery/post-office.js';
import { empty } from '../../support/database.js';

/** Two subjects for half of the audience; the one that is clicked more goes to the others after two hours. */
export const SPLIT: Split = {
  arms: [{}, { subject: 'Arm B' }],
  testPercent: 50,
  waitMinutes: 120,
  judge: 'clicks',
};

export const FOREVER = { deadline: Infinity, signal: new AbortController().signal };

/** A post office and the one who writes broadcasts in it. */
export interface Desk {
  t: PostOffice;
  broadcasts: BroadcastsService;
  planner: BroadcastPlanner;
  draft(change?: Partial<BroadcastDraft>): BroadcastDraft;
  /** Written and started. */
  started(change?: Partial<BroadcastDraft>): Promise<string>;
  /** So many active subscribers, p1@example.com and on. */
  people(count: number): Promise<void>;
  /** So many readers who have the arm's mail leave. */
  leave(arm: number, count: number): Promise<void>;
  tagged(email: string, tags: string[]): Promise<string>;
  /** Addresses at which mails have arrived, sorted. */
  taken(): string[];
  /** Plans and sends until nothing is open, or nothing more moves. */
  settle(id: string): Promise<void>;
  /** Nobody, nothing sent, and the clock back. */
  clear(): Promise<void>;
}

export async function openDesk(given: Record<string, string> = {}, dns?: DnsResolver): Promise<Desk> {
  const t = await openPostOffice(given, dns);
  const broadcasts = t.app.get(BroadcastsService, { strict: false });
  const planner = t.app.get(BroadcastPlanner, { strict: false });
  const draft: Desk['draft'] = (change = {}) => ({
    title: 'News of March',
    template: 'emails/story',
    audience: { everybody: true },
    sender: SENDER,
    topic: null,
    expiresAt: null,
    ...change,
  });
  return {
    t,
    broadcasts,
    planner,
    draft,
    started: async (change) => {
      const { id } = await broadcasts.create(draft(change));
      await broadcasts.start(id, null);
      return id;
    },
    people: async (count) => {
      await t.db.query(
        `insert into subscriber (email, email_key, name, status, created_at, updated_at)
         select 'p' || g || '@example.com', 'p' || g || '@example.com', 'P' || g, 'active', $2, $2 from generate_series(1, $1::int) g`,
        [count, t.clock.now()],
      );
    },
    leave: async (arm, count) => {
      await t.db.query(
        `with gone as (
           select subscriber_id from message where arm = $1 and state = 'accepted' order by id limit $2)
         insert into consent_event (subscriber_id, kind, purpose, at)
         select subscriber_id, 'withdrawn', 'marketing', $3 from gone`,
        [arm, count, t.clock.now()],
      );
    },
    tagged: async (email, tags) => {
      const id = await t.subscriber(email);
      for (const tag of tags)
        await t.db.query(
          `with named as (insert into tag (name, created_at) values ($2, now())
             on conflict (name) do update set name = excluded.name returning id)
           insert into subscriber_tag select $1, id, $3 from named`,
          [id, tag, t.clock.now()],
        );
      return id;
    },
    taken: () => t.sink.mails.flatMap(({ to }) => to).toSorted(),
    settle: async (id) => {
      for (let round = 0; round < 20 && !(await broadcasts.get(id)).complete; round++) {
        await planner.run(FOREVER);
        await t.sendDue();
      }
      await planner.run(FOREVER);
    },
    clear: async () => {
      await t.db.query(`delete from setting where key in ('sending.overdue', 'sending.heartbeat')`);
      t.app.get(OverdueService, { strict: false }).forgetCache();
      t.clock.set(OPENED_AT);
      t.sink.mails.length = 0;
      await empty(
        t.db,
        'message, suppression, subscriber, broadcast, tag, topic_opt_out, segment, alert, tracking_event, conversion',
      );
    },
  };
}
