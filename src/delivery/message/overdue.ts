import { LEFT_BEHIND, OUTSIDE_HOURS, WAITS_FOR_KEY } from './state-reasons.js';
import { HOUR_MS } from '../../values/time-units.js';

/** What becomes of marketing mail that an outage has made late. */
export const OVERDUE_POLICIES = ['send', 'skip', 'ask'] as const;
export type OverduePolicy = (typeof OVERDUE_POLICIES)[number];

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

type Action = 'held' | 'expired';

/** For the claim: marketing mail gets the state `action` instead of a lease. Each holds by itself: an outage lifts no hold. */
export interface OverdueParameters {
  /** Due before `confirmedAt`: it may have gone out before the backup was restored, however late it is planned. */
  restored: { confirmedAt: Date; action: Action } | null;
  /**
   * Due before `overdueBefore`, on the application's clock, as due times are. What is still to come at `dueBy` is not late: the
   * rest of a broadcast that is spread over days.
   */
  late: { overdueBefore: Date; dueBy: Date; action: Action } | null;
  /**
   * Planned for before `before`, and kept by its DKIM key alone: the others go meanwhile, so no silence shows it. What waits so is
   * late from then on, whether its key has come back or not.
   */
  unsigned: { before: Date; action: Action } | null;
}

/**
 * `resumedAt` is when sending went on after the last outage of at least `afterHours`. Not the present: a broadcast that
 * takes ten days under a daily quota is late all the time and no outage's fault. `confirmed` is the owner's word after a
 * restored backup: what was due before it may have gone out already, even if it is planned only now.
 */
export function overdueParameters({
  settings,
  resumedAt,
  confirmed,
  now,
}: {
  settings: OverdueSettings;
  resumedAt: Date | null;
  /** Null: no mail is late by its key. */
  now: Date | null;
  confirmed: { at: Date; unsent: 'keep' | 'hold' | 'cancel' } | null;
}): OverdueParameters {
  const action = settings.policy === 'ask' ? 'held' : 'expired';
  return {
    restored:
      confirmed === null || confirmed.unsent === 'keep'
        ? null
        : { confirmedAt: confirmed.at, action: confirmed.unsent === 'hold' ? 'held' : 'expired' },
    late:
      resumedAt === null || settings.policy === 'send'
        ? null
        : {
            overdueBefore: new Date(resumedAt.getTime() - settings.afterHours * HOUR_MS),
            dueBy: resumedAt,
            action,
          },
    unsigned:
      now === null || settings.policy === 'send'
        ? null
        : { before: new Date(now.getTime() - settings.afterHours * HOUR_MS), action },
  };
}

/** Whether a silence from `aliveAt` until `now` was an outage. */
export function isOutage(aliveAt: Date, now: Date, { afterHours }: OverdueSettings): boolean {
  return now.getTime() - aliveAt.getTime() >= afterHours * HOUR_MS;
}

/** The claim's condition over message `alias` after a restored backup; the others are parameters such as `$4`. */
export function restoredSql(
  alias: string,
  { confirmedAt, action }: Record<'confirmedAt' | 'action', string>,
): string {
  return `(${action}::text is not null and ${alias}.class = 'marketing'
    and coalesce(${alias}.planned_for, ${alias}.due_at) < ${confirmedAt}::timestamptz)`;
}

/**
 * The same after an outage. Somebody waits for a confirmation or a receipt however late it is. What was tried in the last
 * minutes of an outage comes up again shortly after it, and is as late as the others. So is what the reaper puts off, which
 * was due when its worker died: it comes up within two hours.
 */
export function overdueSql(
  alias: string,
  { overdueBefore, dueBy, action }: Record<'overdueBefore' | 'dueBy' | 'action', string>,
): string {
  return `(${action}::text is not null and ${alias}.class = 'marketing'
    and coalesce(${alias}.planned_for, ${alias}.due_at) < ${overdueBefore}::timestamptz
    and (${alias}.due_at <= ${dueBy}::timestamptz
      or ${alias}.state_reason = '${LEFT_BEHIND}'
      or (${alias}.relay is not null and ${alias}.due_at <= ${dueBy}::timestamptz + interval '1 hour')))`;
}

/**
 * As `overdueSql`, less the mails of a broadcast that the owner has let go on since: that was their word about what the
 * outage had made late, and about what is still to be written. It is no word about a restored backup.
 * Costs a look-up for each mail that is overdue, and nothing for others.
 */
export function lateSql(alias: string, parameters: Parameters<typeof overdueSql>[1]): string {
  return `(${overdueSql(alias, parameters)} and (
    select b.let_go_at >= ${parameters.dueBy}::timestamptz from broadcast b where b.id = ${alias}.broadcast_id) is not true)`;
}

/**
 * A mail whose last try its key refused, also when its hours have ended since: only then is it planned for before they open.
 * Whether the key is still missing the next try tells, so until then it is not late by it.
 */
export function keptByKeySql(alias: string): string {
  return `(starts_with(${alias}.state_reason, '${WAITS_FOR_KEY}')
    or (${alias}.state_reason = '${OUTSIDE_HOURS}' and ${alias}.planned_for < ${alias}.due_at))`;
}

/**
 * Of a mail whose last try its key refused, and whose hours have not ended since. The owner's word about its broadcast counts
 * here as it does there, for as long as a mail takes to get late again.
 */
export function unsignedSql(alias: string, { before, action }: Record<'before' | 'action', string>): string {
  return `(${action}::text is not null and ${alias}.class = 'marketing' and starts_with(${alias}.state_reason, '${WAITS_FOR_KEY}')
    and coalesce(${alias}.planned_for, ${alias}.due_at) < ${before}::timestamptz and (
    select b.let_go_at >= ${before}::timestamptz from broadcast b where b.id = ${alias}.broadcast_id) is not true)`;
}
