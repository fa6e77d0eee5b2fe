import type { EntityManager } from 'typeorm';
import { MAY_BE_SENT, MOMENT } from './mail-moment.queries.js';
import { EVIDENCE } from './message-evidence.queries.js';
import { LATER_WENT } from './later-mails.queries.js';
import { SENT_AGAIN } from '../message/state-reasons.js';
import { ERASED } from '../../subscribers/erased.js';

export interface UnknownOfSequence {
  funnelKey: string;
  /** Of which nobody knows whether they were taken. */
  unknown: number;
  /** How many of them may be sent once more. */
  resendable: number;
}

export interface UnknownOfBroadcast {
  broadcastId: string;
  unknown: number;
  /** As of a sequence; whether the broadcast as a whole sends anything is another question. */
  resendable: number;
}

/** In SQL, of a mail `m` at the time `now`: tried once, still of use, and nothing has come back. Once, whatever comes of it. Erased people have no address any more. */
const resendable = (
  now: string,
): string => `m.state = 'unknown' and m.unknown_count <= 1 and m.address <> '${ERASED}' and m.withdrawn is null
  and (m.expires_at is null or m.expires_at > ${now}) and (${EVIDENCE('m.id')}) is null
  and not exists (select 1 from message_attempt a where a.message_id = m.id and a.outcome = 'sent_again')`;

const OF_BROADCAST = `m.broadcast_id = $1 and ${resendable('$2')}`;

/**
 * A step is right for its reader as long as they may get it, have not left the sequence by one of its exits, and no later
 * mail of it has gone to them: an earlier one would come out of order. Scalar look-ups, as in `MOMENT`.
 */
const STEP_IS_RIGHT = `m.kind = 'sequence' and ${MAY_BE_SENT} and not moment.paused
  and (select e.status <> 'exited' from enrollment e where e.id = m.enrollment_id) is true
  and not ${LATER_WENT}`;

const OF_SEQUENCE = `m.funnel_key = $1 and ${STEP_IS_RIGHT} and ${resendable('$2')}`;

/**
 * Mails of which nobody knows whether they were taken, to be sent once more under their Message-ID. Returns how many; what
 * is done stays done, so the same again finds none. Each gets an entry among its attempts. The rows are locked in one order.
 */
const resend = (from: string): string => `
with chosen as (
  select m.id from ${from} order by m.id for update of m),
again as (
  update message m set state = 'ready', state_reason = '${SENT_AGAIN}', due_at = greatest(m.due_at, $2),
    planned_for = null, unknown_count = greatest(m.unknown_count, 1), lease_epoch = m.lease_epoch + 1,
    lease_owner = null, lease_until = null, data_at = null, settled_at = null, reply_code = null, reply_text = null
  from chosen c where m.id = c.id and m.state = 'unknown' returning m.id, m.lease_epoch as epoch),
noted as (
  insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
  select id, epoch, clock_timestamp(), clock_timestamp(), 'owner', 'sent_again' from again)
select count(*)::int as count from again`;

async function countIn(db: EntityManager, text: string, values: unknown[]): Promise<number> {
  const rows: { count: number }[] = await db.query(text, values);
  return rows[0]?.count ?? 0;
}

/** The caller holds the broadcast. Served by `message_broadcast_mailbox`. */
export async function resendOfBroadcast(db: EntityManager, broadcastId: string, now: Date): Promise<number> {
  return countIn(db, resend(`message m where ${OF_BROADCAST}`), [broadcastId, now]);
}

/** How many `resendOfBroadcast` would send. */
export async function resendableOfBroadcast(
  db: EntityManager,
  broadcastId: string,
  now: Date,
): Promise<number> {
  return countIn(db, `select count(*)::int as count from message m where ${OF_BROADCAST}`, [
    broadcastId,
    now,
  ]);
}

/** Of all sequences of a funnel. Served by `message_unknown`. */
export async function resendOfSequence(db: EntityManager, funnelKey: string, now: Date): Promise<number> {
  return countIn(db, resend(`message m ${MOMENT} where ${OF_SEQUENCE}`), [funnelKey, now]);
}

/** By funnel, those with any unknown mail of a sequence. Served by `message_unknown`. */
export async function unknownOfSequences(db: EntityManager, now: Date): Promise<UnknownOfSequence[]> {
  return db.query(
    `select m.funnel_key as "funnelKey", count(*)::int as unknown,
       (count(*) filter (where ${STEP_IS_RIGHT} and ${resendable('$1')}))::int as resendable
     from message m ${MOMENT}
     where m.state = 'unknown' and m.kind = 'sequence' and m.funnel_key is not null group by 1 order by 1`,
    [now],
  );
}

/** The broadcasts with any unknown mail, the oldest first. Served by `message_unknown`. */
export async function unknownOfBroadcasts(db: EntityManager, now: Date): Promise<UnknownOfBroadcast[]> {
  return db.query(
    `select m.broadcast_id as "broadcastId", count(*)::int as unknown,
       (count(*) filter (where ${resendable('$1')}))::int as resendable
     from message m where m.state = 'unknown' and m.broadcast_id is not null group by m.broadcast_id order by m.broadcast_id`,
    [now],
  );
}
