import { overdueSql } from './overdue.js';

/**
 * As `overdueSql`, less the mails of a broadcast that the owner has let go on since: that was their word about what the
 * outage had made late, and about what is still to be written. It is no word about a restored backup.
 * Costs a look-up for each mail that is overdue, and nothing for others.
 */
export function lateSql(alias: string, parameters: Parameters<typeof overdueSql>[1]): string {
  return `(${overdueSql(alias, parameters)} and (
    select b.let_go_at >= ${parameters.dueBy}::timestamptz from broadcast b where b.id = ${alias}.broadcast_id) is not true)`;
}
