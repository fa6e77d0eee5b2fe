import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { EntityManager } from 'typeorm';
import { withoutSending } from '../ledger/message.js';
import { CANCELLED_BY_OWNER, NOT_FOR_OWNER, UNFIT_REASONS } from '../ledger/state-reasons.js';

export interface HeldFilter {
  /** As it stands in `state_reason`. */
  reason?: string | undefined;
  broadcastId?: string | undefined;
}

export interface HeldCount {
  reason: string;
  broadcastId: string | null;
  count: number;
}

const FOR_OWNER = `(state_reason is null or state_reason not in (${listed(NOT_FOR_OWNER)}))`;
/**
 * The words of a sequence's step as they are since its owner has mended them; null for other mails. A step whose mails are
 * tested has several, and one of them is the reader's.
 */
const WORDS_OF_NOW = `(select (n.node ->> 'templateId')::bigint from sequence q
  join sequence_version v on v.id = q.current_version_id cross join lateral jsonb_array_elements(v.definition -> 'nodes') as n (node)
  where q.funnel_key = m.funnel_key and m.enrollment_id is not null and n.node ->> 'key' = m.step_key and not n.node ? 'split' limit 1)`;

/** So many rows in one transaction: others wait for none of them for long, and a restart loses little. */
const BATCH = 5_000;

/** The SQL of mails that wait for the owner's decision: what waits for a reader or for a split test is not theirs to decide. Served by `message_held` and `message_unknown`. */
@Injectable()
export class HeldQueries {
  constructor(private readonly dataSource: DataSource) {}

  async counts(): Promise<HeldCount[]> {
    return this.dataSource.query(
      `select coalesce(state_reason, '') as reason, broadcast_id as "broadcastId", count(*)::float8 as count
       from message where state = 'held' and ${FOR_OWNER} group by 1, 2 order by count(*) desc limit 200`,
    );
  }

  async unknownCount(): Promise<number> {
    const rows: { count: number }[] = await this.dataSource.query(
      `select count(*)::float8 as count from message where state = 'unknown'`,
    );
    return rows[0]?.count ?? 0;
  }

  /** What is unfit leaves with the words of its step as they are now. Ready and due from now on: it must not be taken for overdue once more. Returns how many; fewer than asked: no more. */
  async release(manager: EntityManager, filter: HeldFilter, now: Date): Promise<number> {
    return this.change(manager, filter, {
      set: `state = 'ready', state_reason = null, due_at = greatest(m.due_at, $4), planned_for = null,
        email_template_id = case when m.state_reason in (${listed(UNFIT_REASONS)}) then coalesce(${WORDS_OF_NOW}, m.email_template_id) else m.email_template_id end`,
      parameter: now,
    });
  }

  async cancel(manager: EntityManager, filter: HeldFilter): Promise<number> {
    return this.change(manager, filter, {
      set: `state = ${withoutSending(`'cancelled'`)}, state_reason = coalesce(m.state_reason || ', ', '') || $4::text, settled_at = clock_timestamp()`,
      parameter: CANCELLED_BY_OWNER,
    });
  }

  private async change(
    manager: EntityManager,
    { reason, broadcastId }: HeldFilter,
    { set, parameter }: { set: string; parameter: unknown },
  ): Promise<number> {
    const [, count]: [unknown[], number] = await manager.query(
      `update message m set ${set} from (
         select id from message where state = 'held' and ${FOR_OWNER} and ($1::text is null or state_reason = $1)
           and ($2::bigint is null or broadcast_id = $2) order by state_reason, id limit $3 for update skip locked) h
       where m.id = h.id`,
      [reason ?? null, broadcastId ?? null, BATCH, parameter],
    );
    return count;
  }
}

function listed(reasons: readonly string[]): string {
  return reasons.map((reason) => `'${reason}'`).join(', ');
}
