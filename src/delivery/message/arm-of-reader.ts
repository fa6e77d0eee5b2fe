/**
 * In SQL, the arm of a reader in a test of mails: of this enrollment or what it was replaced by there, else of the last form of the
 * test, else the one that everybody gets since it was decided. There are few tests; by the keys of the others.
 */
export function armOfReader({
  test,
  subscriberId,
  enrollmentId,
}: {
  /** SQL of its name, `sequence/step`. */
  test: string;
  subscriberId: string;
  enrollmentId: string;
}): string {
  return `(select coalesce(i.arm, a.arm, x.verdict ->> 'arm') from experiment x
    left join experiment_assignment a on a.experiment_id = x.id and a.subscriber_id = ${subscriberId}
    left join experiment_replacement i on i.experiment_id = x.id and i.enrollment_id = ${enrollmentId}
  where x.test = ${test} and (a.arm is not null or x.verdict is not null)
  order by i.arm is not null or a.enrollment_id is not distinct from ${enrollmentId} desc, x.id desc limit 1)`;
}
