/** What becomes of marketing mail that an outage has made late. */
export type OverduePolicy = 'send' | 'skip' | 'ask';
export const OVERDUE_POLICIES = ['send', 'skip', 'ask'] as const;

export interface OverdueSettings {
  policy: OverduePolicy;
  /** A mail is overdue when the outage has made it later than this. */
  afterHours: number;
}

/** Nobody is written to about yesterday without the owner's word. */
export const DEFAULT_OVERDUE: OverdueSettings = { policy: 'ask', afterHours: 24 };

/** Reasons in `message.state_reason`; held mails are counted, released and cancelled by them. */
export const OVERDUE = 'overdue after an outage';
export const RESTORED = 'restored backup';

/** For the claim: marketing mail due before `overdueBefore` gets the state `action` with `reason` instead of a lease. */
export interface OverdueParameters {
  /** On the application's clock, as due times are. */
  overdueBefore: Date | null;
  /** What is still to come then is not late: the rest of a broadcast that is spread over days. Null: everything is. */
  dueBy: Date | null;
  action: 'held' | 'expired' | null;
  reason: string | null;
}

const HOUR_MS = 3_600_000;
const NOTHING: OverdueParameters = { overdueBefore: null, dueBy: null, action: null, reason: null };

/**
 * `resumedAt` is when sending went on after the last outage of at least `afterHours`. Not the present: a broadcast that
 * takes ten days under a daily quota is late all the time and no outage's fault. `confirmed` is the owner's word after a
 * restored backup: what was due before it may have gone out already, even if it is planned only now.
 */
export function overdueParameters({
  settings,
  resumedAt,
  confirmed,
}: {
  settings: OverdueSettings;
  resumedAt: Date | null;
  confirmed: { at: Date; unsent: 'keep' | 'hold' | 'cancel' } | null;
}): OverdueParameters {
  const restored: OverdueParameters =
    confirmed === null || confirmed.unsent === 'keep'
      ? NOTHING
      : {
          overdueBefore: confirmed.at,
          dueBy: null,
          action: confirmed.unsent === 'hold' ? 'held' : 'expired',
          reason: RESTORED,
        };
  const late: OverdueParameters =
    resumedAt === null || settings.policy === 'send'
      ? NOTHING
      : {
          overdueBefore: new Date(resumedAt.getTime() - settings.afterHours * HOUR_MS),
          dueBy: resumedAt,
          action: settings.policy === 'ask' ? 'held' : 'expired',
          reason: OVERDUE,
        };
  return (restored.overdueBefore?.getTime() ?? 0) > (late.overdueBefore?.getTime() ?? 0) ? restored : late;
}

/** Whether a silence from `aliveAt` until `now` was an outage. */
export function isOutage(aliveAt: Date, now: Date, { afterHours }: OverdueSettings): boolean {
  return now.getTime() - aliveAt.getTime() >= afterHours * HOUR_MS;
}

/**
 * The claim's condition over message `alias`; the others are parameters such as `$4`. Somebody waits for a confirmation
 * or a receipt however late it is. What was tried in the last minutes of an outage comes up again shortly after it, and
 * is as late as the others.
 */
export function overdueSql(
  alias: string,
  { overdueBefore, dueBy, action }: Record<'overdueBefore' | 'dueBy' | 'action', string>,
): string {
  return `(${action}::text is not null and ${alias}.class = 'marketing'
    and coalesce(${alias}.planned_for, ${alias}.due_at) < ${overdueBefore}::timestamptz
    and (${dueBy}::timestamptz is null or ${alias}.due_at <= ${dueBy}::timestamptz
      or (${alias}.relay is not null and ${alias}.due_at <= ${dueBy}::timestamptz + interval '1 hour')))`;
}
