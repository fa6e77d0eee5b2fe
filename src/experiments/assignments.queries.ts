import type { EntityManager } from 'typeorm';
import { assign } from './assign.js';
import { HOLDOUT } from '../segments/held-out.js';
import type { Assignment, ExperimentTerms, NewAssignment } from './experiment-terms.js';
import type { Shares } from './test-plan.js';

interface Row {
  place: number;
  id: string;
  test: string;
  terms: ExperimentTerms;
  decided: string | null;
  /** Why nobody has won. */
  because: string | null;
  period: number;
  shares: Shares;
  /** In this test, and in the last one at the same step. */
  own: { arm: string; period: number } | null;
  before: string | null;
}

/**
 * The arm of each person, in the order of the questions; null for a test nobody has opened. Writes nothing: most of those
 * who are asked about come to the step later. Called by sequences.advance-due in its transaction; locks nothing. Served by
 * the keys of `experiment` and `experiment_assignment` and by `experiment_assignment_subscriber`.
 */
export async function loadAssignments(
  manager: EntityManager,
  asks: readonly { experiment: string; subscriberId: string }[],
): Promise<(Assignment | null)[]> {
  const found: (Assignment | null)[] = asks.map(() => null);
  if (asks.length === 0) return found;
  const rows: Row[] = await manager.query(
    `select u.place::int as place, x.id, x.test, x.terms, x.verdict ->> 'arm' as decided, x.verdict ->> 'because' as because,
       p.period, p.shares,
       case when a.arm is not null then jsonb_build_object('arm', a.arm, 'period', a.period) end as own, o.arm as before
     from unnest($1::text[], $2::bigint[]) with ordinality as u (key, subscriber_id, place)
     join experiment x on x.key = u.key
     join lateral (select period, shares from experiment_period where experiment_id = x.id order by period desc limit 1) p on true
     left join experiment_assignment a on a.experiment_id = x.id and a.subscriber_id = u.subscriber_id
     left join lateral (
       select b.arm from experiment_assignment b join experiment y on y.id = b.experiment_id
       where b.subscriber_id = u.subscriber_id and y.test = x.test and a.arm is null order by y.id desc limit 1) o on true`,
    [asks.map(({ experiment }) => experiment), asks.map(({ subscriberId }) => subscriberId)],
  );
  for (const row of rows) {
    const ask = asks[row.place - 1];
    if (ask) found[row.place - 1] = assignmentOf(row, ask.subscriberId);
  }
  return found;
}

function assignmentOf(row: Row, subscriberId: string): Assignment {
  const { id: experimentId, test, terms, decided, period, shares, own, before } = row;
  if (own !== null) {
    const harmless = armInsteadOf(own.arm, row);
    if (harmless === null) return { experimentId, ...own, carried: false, isNew: false };
    return { experimentId, arm: harmless, period: own.period, carried: true, isNew: true };
  }
  const kept = before !== null && isArm(terms, before);
  if (kept)
    return { experimentId, arm: armInsteadOf(before, row) ?? before, period, carried: true, isNew: true };
  // Nobody is drawn any more, so there is nothing to write down.
  if (decided !== null) return { experimentId, arm: decided, period, carried: false, isNew: false };
  const arm = assign({ test, arms: terms.arms, holdoutBps: terms.holdoutBps }, shares, subscriberId);
  return { experimentId, arm, period, carried: false, isNew: true };
}

/** Of an arm that broke a guard rail: the first of those that keep to them. Null for every other arm. */
function armInsteadOf(arm: string, { terms, decided, because, shares }: Row): string | null {
  const place = terms.arms.findIndex(({ key }) => key === arm);
  if (place < 0) return null;
  // The verdict names the one arm that is left.
  if (decided !== null) return because === 'guard_rails' && arm !== decided ? decided : null;
  if (shares[place] !== 0) return null;
  return terms.arms.find((_, other) => (shares[other] ?? 0) > 0)?.key ?? null;
}

function isArm({ arms, holdoutBps }: ExperimentTerms, arm: string): boolean {
  return arms.some(({ key }) => key === arm) || (arm === HOLDOUT && holdoutBps > 0);
}

/**
 * In the transaction that moves the people on: they keep their arm from here on. The first of two at once is kept. Who was
 * drawn for an arm that has been stopped since, and had no mail of it yet, is given another and counts for neither.
 */
export async function storeAssignments(
  manager: EntityManager,
  people: readonly NewAssignment[],
  now: Date,
): Promise<void> {
  if (people.length === 0) return;
  await manager.query(
    `insert into experiment_assignment (experiment_id, subscriber_id, arm, period, enrollment_id, carried, assigned_at)
     select distinct on (u.test, u.person) u.*, $7
     from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[], $6::boolean[])
       as u (test, person, arm, period, enrollment, carried) order by u.test, u.person, u.enrollment
     on conflict (experiment_id, subscriber_id) do update set arm = excluded.arm, carried = true
       where excluded.carried and experiment_assignment.enrollment_id = excluded.enrollment_id`,
    [
      people.map(({ experimentId }) => experimentId),
      people.map(({ subscriberId }) => subscriberId),
      people.map(({ arm }) => arm),
      people.map(({ period }) => period),
      people.map(({ enrollmentId }) => enrollmentId),
      people.map(({ carried }) => carried),
      now,
    ],
  );
  await storeReplacements(
    manager,
    people.filter(({ carried }) => carried),
    now,
  );
}

/** What people get in a later enrollment in place of their own arm, which was stopped for harm after they had got it. */
async function storeReplacements(
  manager: EntityManager,
  people: readonly NewAssignment[],
  now: Date,
): Promise<void> {
  if (people.length === 0) return;
  await manager.query(
    `insert into experiment_replacement (enrollment_id, experiment_id, arm, at)
     select distinct on (u.enrollment, u.test) u.enrollment, u.test, u.arm, $5
     from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) as u (test, person, arm, enrollment)
     join experiment_assignment a on a.experiment_id = u.test and a.subscriber_id = u.person
     where a.enrollment_id <> u.enrollment and a.arm <> u.arm
     order by u.enrollment, u.test
     on conflict (enrollment_id, experiment_id) do update set arm = excluded.arm`,
    [
      people.map(({ experimentId }) => experimentId),
      people.map(({ subscriberId }) => subscriberId),
      people.map(({ arm }) => arm),
      people.map(({ enrollmentId }) => enrollmentId),
      now,
    ],
  );
}
