import type { EntityManager } from 'typeorm';
import type { BroadcastTimeFacts } from './explain-broadcast-time.js';
import { HELD_OUT, HOLDOUT } from '../segments/held-out.js';
import type { BroadcastSplitFacts, SplitFacts } from './explain-split.js';

/** The version of the enrollment `e` at a time, a parameter; its present one where that is null. */
export const versionAt = (at: string): string => `coalesce((
  select (b.version ->> 'id')::bigint from jsonb_array_elements(e.versions_before) with ordinality as b (version, place)
  where (b.version ->> 'until')::timestamptz > ${at}::timestamptz order by b.place limit 1), e.version_id)`;

/**
 * The tests that bear on a step in the version of the enrollment `at` a time, null for now: those of the paths it lies in,
 * from the outermost, and its own. The person's arm is that of the test, or of what it was before it was edited, which stays
 * theirs. Who came to a path when its test was over has no arm; the test counts if its arm is the path. Served by the keys
 * of its tables and by experiment_assignment_subscriber.
 */
export async function splitsAt(
  db: EntityManager,
  {
    enrollmentId,
    stepKey,
    subscriberId,
    at,
  }: { enrollmentId: string; stepKey: string; subscriberId: string; at: Date | null },
): Promise<SplitFacts[]> {
  const rows: (Omit<SplitFacts, 'own'> & {
    arm: string | null;
    carried: boolean;
    isInstead: boolean;
    at: Date;
    shares: number[];
  })[] = await db.query(
    `select x.test, x.terms, x.verdict, x.decided_at as "decidedAt", own.arm, own.carried, own.instead as "isInstead", own.at, own.shares,
       case when n.node ->> 'key' <> $2 then
         (select p.key from jsonb_each(x.terms -> 'paths') p where p.value ? $2 limit 1) end as "pathOfStep"
     from enrollment e join sequence_version v on v.id = ${versionAt('$4')}
     cross join lateral jsonb_array_elements(v.definition -> 'nodes') with ordinality as n (node, place)
     join experiment x on x.key = n.node -> 'split' ->> 'experiment'
     left join lateral (
       select coalesce(i.arm, a.arm) as arm, a.carried or a.experiment_id <> x.id as carried, i.arm is not null as instead,
         coalesce(i.at, a.assigned_at) as at, p.shares
       from experiment_assignment a join experiment y on y.id = a.experiment_id
         left join experiment_replacement i on i.enrollment_id = $1 and i.experiment_id = a.experiment_id
           and ($4::timestamptz is null or i.at <= $4)
         left join experiment_period p on p.experiment_id = a.experiment_id and p.period = a.period
       where a.subscriber_id = $3 and y.test = x.test and ($4::timestamptz is null or a.assigned_at <= $4)
         and (a.experiment_id = x.id or a.arm = '${HOLDOUT}' or x.terms -> 'arms' @> jsonb_build_array(jsonb_build_object('key', a.arm)))
       order by a.experiment_id = x.id desc, a.experiment_id desc limit 1) own on true
     where e.id = $1 and (n.node ->> 'key' = $2 or jsonb_path_exists(x.terms, '$.paths.*[*] ? (@ == $step)', jsonb_build_object('step', $2::text)))
       and (own.arm is not null or n.node ->> 'key' = $2 or x.terms -> 'paths' -> (x.verdict ->> 'arm') ? $2)
     order by n.place`,
    [enrollmentId, stepKey, subscriberId, at],
  );
  return rows.map(({ arm, carried, isInstead, at: drawnAt, shares, ...test }) => ({
    ...test,
    own: arm === null ? null : { arm, carried, isInstead, at: drawnAt, shares },
  }));
}

/** The test of the mail's broadcast; null when it tries nothing. By primary keys. */
export async function splitOfBroadcastMail(
  db: EntityManager,
  messageId: string,
): Promise<BroadcastSplitFacts | null> {
  const rows: BroadcastSplitFacts[] = await db.query(
    `select b.split, b.decision, m.arm, coalesce(m.state = 'suppressed' and m.state_reason = $2, false) as "isHeldOut"
     from message m join broadcast b on b.id = m.broadcast_id
     where m.id = $1 and b.split is not null`,
    [messageId, HELD_OUT],
  );
  return rows[0] ?? null;
}

/** Null of a broadcast that has no time yet. By primary keys. */
export async function broadcastTimeOf(
  db: EntityManager,
  messageId: string,
): Promise<BroadcastTimeFacts | null> {
  const rows: BroadcastTimeFacts[] = await db.query(
    `select b.scheduled_at as "scheduledAt", b.timing, s.time_zone as "timeZone", m.due_at as "dueAt",
       b.split -> 'arms' -> (case when m.arm < 0 then -1 - m.arm else m.arm end) as arm,
       m.state_reason is null and m.planned_for is null and not exists (
         select from message_attempt a where a.message_id = m.id and a.outcome <> 'accepted') as "isAsPlanned"
     from message m join broadcast b on b.id = m.broadcast_id left join subscriber s on s.id = m.subscriber_id
     where m.id = $1 and b.scheduled_at is not null`,
    [messageId],
  );
  return rows[0] ?? null;
}
