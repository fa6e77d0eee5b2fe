import type { EntityManager } from 'typeorm';
import type { BroadcastSplitFacts, SplitFacts } from './explain-split.js';

/** The test that the version of the mail's enrollment has at its step; null when it has none. Served by the keys of its tables. */
export async function splitOfMail(
  db: EntityManager,
  { enrollmentId, stepKey, subscriberId }: { enrollmentId: string; stepKey: string; subscriberId: string },
): Promise<SplitFacts | null> {
  const rows: (Omit<SplitFacts, 'own'> & {
    arm: string | null;
    carried: boolean;
    at: Date;
    shares: number[];
  })[] = await db.query(
    `select x.test, x.terms, x.verdict, x.decided_at as "decidedAt", a.arm, a.carried, a.assigned_at as at, p.shares
     from enrollment e join sequence_version v on v.id = e.version_id
     cross join lateral jsonb_array_elements(v.definition -> 'nodes') as n (node)
     join experiment x on x.key = n.node -> 'split' ->> 'experiment'
     left join experiment_assignment a on a.experiment_id = x.id and a.subscriber_id = $3
     left join experiment_period p on p.experiment_id = x.id and p.period = a.period
     where e.id = $1 and n.node ->> 'key' = $2`,
    [enrollmentId, stepKey, subscriberId],
  );
  const [row] = rows;
  if (!row) return null;
  const { arm, carried, at, shares, ...test } = row;
  return { ...test, own: arm === null ? null : { arm, carried, at, shares } };
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
