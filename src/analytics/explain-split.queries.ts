import type { EntityManager } from 'typeorm';
import type { BroadcastSplitFacts, SplitFacts } from './explain-split.js';

/**
 * The tests that bear on a step in the version of the enrollment: those of the paths it lies in, from the outermost, and its
 * own. Who came to a path when its test was over has no arm; the test counts if its arm is the path. Served by the keys of
 * its tables.
 */
export async function splitsAt(
  db: EntityManager,
  { enrollmentId, stepKey, subscriberId }: { enrollmentId: string; stepKey: string; subscriberId: string },
): Promise<SplitFacts[]> {
  const rows: (Omit<SplitFacts, 'own'> & {
    arm: string | null;
    carried: boolean;
    at: Date;
    shares: number[];
  })[] = await db.query(
    `select x.test, x.terms, x.verdict, x.decided_at as "decidedAt", a.arm, a.carried, a.assigned_at as at, p.shares
     from enrollment e join sequence_version v on v.id = e.version_id
     cross join lateral jsonb_array_elements(v.definition -> 'nodes') with ordinality as n (node, place)
     join experiment x on x.key = n.node -> 'split' ->> 'experiment'
     left join experiment_assignment a on a.experiment_id = x.id and a.subscriber_id = $3
     left join experiment_period p on p.experiment_id = x.id and p.period = a.period
     where e.id = $1 and (n.node ->> 'key' = $2 or jsonb_path_exists(x.terms, '$.paths.*[*] ? (@ == $step)', jsonb_build_object('step', $2::text)))
       and (a.arm is not null or n.node ->> 'key' = $2 or x.terms -> 'paths' -> (x.verdict ->> 'arm') ? $2)
     order by n.place`,
    [enrollmentId, stepKey, subscriberId],
  );
  return rows.map(({ arm, carried, at, shares, ...test }) => ({
    ...test,
    own: arm === null ? null : { arm, carried, at, shares },
  }));
}

/** The test of the mail's broadcast; null when it tries nothing. By primary keys. */
export async function splitOfBroadcastMail(
  db: EntityManager,
  messageId: string,
): Promise<BroadcastSplitFacts | null> {
  const rows: BroadcastSplitFacts[] = await db.query(
    `select b.split, b.decision, m.arm from message m join broadcast b on b.id = m.broadcast_id
     where m.id = $1 and b.split is not null`,
    [messageId],
  );
  return rows[0] ?? null;
}
