import type { EntityManager } from 'typeorm';
import { audienceParts, type Audience, segmentCondition } from '../broadcasts/audience.js';
import { OFF_ITS_LIST } from '../delivery/guards/left-list.queries.js';
import {
  lateSql,
  OVERDUE,
  RESTORED,
  restoredSql,
  unsignedSql,
  type OverdueParameters,
} from '../delivery/message/overdue.js';
import { WORDS_OF_MAIL } from '../delivery/message/words-of-mail.js';
import { compileConditions } from '../segments/compile.js';
import type { Condition } from '../segments/condition.js';
import type { SequenceDefinition } from '../sequences/steps/definition.js';
import { HOLD_MS } from '../subscribers/keepers.service.js';
import { fieldDefinitions } from '../subscribers/subscribers.queries.js';
import type { BroadcastAbsence } from './explain-broadcast.js';
import type { WordsFacts } from './explain-words.js';
import type { AttemptFacts } from './explain-attempts.js';
import type { MessageFacts } from './explain-message.js';
import type { BroadcastFacts, PersonFacts, SuppressionFacts } from './explain-rules.js';
import { splitsAt, versionAt } from './explain-split.queries.js';
import type { EnrollmentFacts } from './explain-step.js';

export type MessageRow = MessageFacts['message'] & {
  subscriberId: string | null;
  broadcastId: string | null;
  enrollmentId: string | null;
  addressHash: Buffer;
  queueKey: string;
  priority: number;
};

/** A mail, and when it was planned. */
interface MailAt {
  id: string;
  at: Date;
}

export type PersonRow = PersonFacts & { timeZone: string | null; addressKey: string };

const BROADCAST = `b.title, b.state, b.state_reason as "stateReason", b.scheduled_at as "scheduledAt",
  b.started_at as "startedAt", b.planned_at as "plannedAt"`;

export async function messageRow(db: EntityManager, id: string): Promise<MessageRow | null> {
  const rows: MessageRow[] = await db.query(
    `select id, kind, class, state, state_reason as "stateReason", coalesce(funnel_key, '') as topic, step_key as "stepKey",
       due_at as "dueAt", created_at as "createdAt", expires_at as "expiresAt", data_at as "dataAt", settled_at as "settledAt",
       accepted_at as "acceptedAt", unknown_count as "unknownCount", withdrawn, subscriber_id as "subscriberId",
       broadcast_id as "broadcastId", enrollment_id as "enrollmentId", address_hash as "addressHash", lane_key as "queueKey", priority, jsonb_build_object('offer', data -> 'offer', 'offerAfter', data -> 'offerAfter') as offers,
       (select k.lists is not null and ${OFF_ITS_LIST} from broadcast k where k.id = m.broadcast_id) is true as "offItsList"
     from message m where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** The last mail of the step that the person had in the given time in the sequence, and the last of any other. Served by message_subscriber. */
export async function stepMails(
  db: EntityManager,
  {
    subscriberId,
    funnel,
    step,
    enrollmentId,
  }: { subscriberId: string; funnel: string; step: string; enrollmentId: string | null },
): Promise<{ ofTime: MailAt | null; other: MailAt | null }> {
  const rows: (MailAt & { ofTime: boolean })[] = await db.query(
    `select distinct on ("ofTime") coalesce(enrollment_id = $4, false) as "ofTime", id, created_at as at
     from message where subscriber_id = $1 and funnel_key = $2 and step_key = $3 order by "ofTime", id desc`,
    [subscriberId, funnel, step, enrollmentId],
  );
  const mail = (ofTime: boolean): MailAt | null => rows.find((row) => row.ofTime === ofTime) ?? null;
  return { ofTime: mail(true), other: mail(false) };
}

/** Served by message_subscriber. */
export async function broadcastMessageId(
  db: EntityManager,
  subscriberId: string,
  broadcastId: string,
): Promise<string | null> {
  const rows: { id: string }[] = await db.query(
    `select id from message where subscriber_id = $1 and broadcast_id = $2 order by id desc limit 1`,
    [subscriberId, broadcastId],
  );
  return rows[0]?.id ?? null;
}

export async function personRow(db: EntityManager, id: string): Promise<PersonRow | null> {
  const rows: (Omit<PersonRow, 'consent'> & { kind: string | null; at: Date; wording: string | null })[] =
    await db.query(
      `select s.status, s.time_zone as "timeZone", s.email_key as "addressKey",
       s.paused_until as "pausedUntil", c.kind, c.at, c.consent_text as wording
     from subscriber s left join lateral (
       select kind, at, consent_text from consent_event where subscriber_id = s.id and purpose = 'marketing'
       order by id desc limit 1) c on true where s.id = $1`,
      [id],
    );
  const row = rows[0];
  if (!row) return null;
  const { kind, at, wording, ...person } = row;
  return { ...person, consent: kind === null ? null : { kind, at, wording } };
}

export async function suppressionRows(db: EntityManager, addressHash: Buffer): Promise<SuppressionFacts[]> {
  return db.query(
    `select scope, reason, source, created_at as since from suppression where email_hash = $1 order by scope, id`,
    [addressHash],
  );
}

export async function optedOutSince(
  db: EntityManager,
  subscriberId: string,
  topic: string,
): Promise<Date | null> {
  const rows: { at: Date }[] = await db.query(
    'select created_at as at from topic_opt_out where subscriber_id = $1 and topic_key = $2',
    [subscriberId, topic],
  );
  return rows[0]?.at ?? null;
}

export async function broadcastRow(db: EntityManager, id: string): Promise<BroadcastFacts | null> {
  const rows: BroadcastFacts[] = await db.query(`select ${BROADCAST} from broadcast b where b.id = $1`, [id]);
  return rows[0] ?? null;
}

/** Whom a broadcast is for, with its segments as they were when planning began; null before. */
interface Chosen {
  audience: Audience;
  segments: Record<string, Condition> | null;
}

/** Null of a mail whose words are those that its broadcast began with, and which nobody has changed. By primary keys. */
export async function wordsRow(db: EntityManager, messageId: string): Promise<WordsFacts | null> {
  const rows: WordsFacts[] = await db.query(
    `select t.id as "templateId", t.key as template, t.subject, not b.reworded ? t.id::text as "isCurrent", b.reworded_at as "changedAt"
     from message m join broadcast b on b.id = m.broadcast_id join email_template t on t.id = ${WORDS_OF_MAIL}
     where m.id = $1 and (b.reworded ? t.id::text or t.id::text in (select w.value from jsonb_each_text(b.reworded) w))`,
    [messageId],
  );
  return rows[0] ?? null;
}

/** How far the planner of the broadcast has come, seen from the person. */
export async function absenceRow(
  db: EntityManager,
  {
    broadcastId,
    subscriberId,
    addressHash,
  }: { broadcastId: string; subscriberId: string; addressHash: Buffer },
): Promise<
  (Omit<BroadcastAbsence, 'person' | 'suppressions' | 'optedOutSince' | 'leftOut'> & Chosen) | null
> {
  const rows: (BroadcastAbsence['broadcast'] &
    Chosen &
    Pick<BroadcastAbsence, 'passed' | 'joinedLater' | 'sameMailbox'>)[] = await db.query(
    `select ${BROADCAST}, b.topic_key as topic, b.audience, b.segments, b.ended_at as "endedAt",
         b.planned_at is not null or b.cursor_subscriber_id >= $2 as passed,
         coalesce(b.audience_last_id < $2, false) as "joinedLater",
         exists (select 1 from message m where m.broadcast_id = b.id and m.address_hash = $3) as "sameMailbox"
       from broadcast b where b.id = $1`,
    [broadcastId, subscriberId, addressHash],
  );
  const row = rows[0];
  if (!row) return null;
  const { passed, joinedLater, sameMailbox, audience, segments, ...broadcast } = row;
  return { broadcast, audience, segments, passed, joinedLater, sameMailbox };
}

/**
 * The conditions of the audience that the person did not meet at the start, in words; before it, those of today. What
 * came later does not count: tags, funnels, and windows of time.
 */
export async function conditionsUnmet(
  db: EntityManager,
  subscriberId: string,
  { audience, segments, startedAt, zone }: Chosen & { startedAt: Date | null; zone: string },
): Promise<string[]> {
  const inSegments = segments === null ? null : segmentCondition(audience, segments);
  const definitions = await fieldDefinitions(db);
  const options = { definitions, now: startedAt ?? new Date(0), zone, ...(startedAt && { asOf: startedAt }) };
  const parts = audienceParts(
    audience,
    2,
    inSegments && ((first) => compileConditions(inSegments, { ...options, first })),
    startedAt,
  );
  const columns = parts.map(({ condition }, place) => `(${condition.text}) as p${place}`);
  const rows: Record<string, boolean>[] = await db.query(
    `select ${columns.join(', ')} from subscriber s where s.id = $1`,
    [subscriberId, ...parts.flatMap(({ condition }) => condition.parameters)],
  );
  return parts.filter((_, place) => rows[0]?.[`p${place}`] === false).map(({ words }) => words);
}

/** Whether the claim will find the sequence of a mail, or of one to come, paused. By the key of `sequence_pause`. */
export async function sequencePaused(
  db: EntityManager,
  { kind, class: messageClass, topic }: Pick<MessageRow, 'kind' | 'class' | 'topic'>,
): Promise<boolean> {
  if (kind !== 'sequence' || messageClass !== 'marketing') return false;
  const rows: unknown[] = await db.query(
    'select 1 from sequence_pause where funnel_key = $1 and resumed_at is null',
    [topic],
  );
  return rows.length > 0;
}

/** Until when no mail of a list goes at the latest, as somebody may have left of whom nobody has told this database; null: none waits for that. */
export async function leavingsHoldUntil(db: EntityManager, now: Date): Promise<Date | null> {
  const [held]: [{ ms: number | null }] = await db.query(
    `select max($1 - held_ms) as ms from leavings_keeper where good_until <= clock_timestamp() and held_ms < $1`,
    [HOLD_MS],
  );
  return held.ms === null ? null : new Date(now.getTime() + held.ms);
}

/** What the claim's rules about late mails make of it; null when they let it go. By primary key. */
export async function lateRow(
  db: EntityManager,
  id: string,
  { restored, late, unsigned }: OverdueParameters,
): Promise<MessageFacts['late']> {
  const [row]: Record<'restored' | 'late' | 'unsigned', boolean>[] = await db.query(
    `select ${restoredSql('m', { confirmedAt: '$2', action: '$3' })} as restored,
       ${lateSql('m', { overdueBefore: '$4', dueBy: '$5', action: '$6' })} as late,
       ${unsignedSql('m', { before: '$7', action: '$8' })} as unsigned from message m where m.id = $1`,
    [
      ...[id, restored?.confirmedAt, restored?.action, late?.overdueBefore, late?.dueBy, late?.action],
      ...[unsigned?.before, unsigned?.action],
    ],
  );
  if (restored && row?.restored === true) return { action: restored.action, reason: RESTORED };
  if (late && row?.late === true) return { action: late.action, reason: OVERDUE };
  return unsigned && row?.unsigned === true ? { action: unsigned.action, reason: OVERDUE } : null;
}

export async function attemptRows(db: EntityManager, messageId: string): Promise<AttemptFacts[]> {
  return db.query(
    `select started_at as "startedAt", stage, outcome, reply_code as "replyCode", reply_text as "replyText", relay
     from message_attempt where message_id = $1 order by epoch = 0, abs(epoch), finished_at`,
    [messageId],
  );
}

/** Served by bounce_message. */
export async function reportRows(db: EntityManager, messageId: string): Promise<MessageFacts['reports']> {
  return db.query(
    `select verdict, reason, source, trusted, received_at as at from bounce where message_id = $1 order by id`,
    [messageId],
  );
}

/** The version in which the enrollment was at a time: a move may have taken the person to another since. */
export async function versionOfEnrollment(
  db: EntityManager,
  enrollmentId: string,
  at: Date,
): Promise<{ title: string; version: number; definition: SequenceDefinition } | null> {
  const rows: { title: string; version: number; definition: SequenceDefinition }[] = await db.query(
    `select q.title, v.version, v.definition from enrollment e join sequence q on q.id = e.sequence_id
     join sequence_version v on v.id = ${versionAt('$2')} where e.id = $1`,
    [enrollmentId, at],
  );
  return rows[0] ?? null;
}

/** The sequence of the funnel as it is today. */
export async function sequenceOf(
  db: EntityManager,
  funnel: string,
): Promise<{ id: string; title: string; version: number; steps: string[] } | null> {
  const rows: { id: string; title: string; version: number; steps: string[] }[] = await db.query(
    `select q.id, q.title, v.version,
       array(select distinct n->>'key' from sequence_version any_v, jsonb_array_elements(any_v.definition->'nodes') n
             where any_v.sequence_id = q.id) as steps
     from sequence q join sequence_version v on v.id = q.current_version_id where q.funnel_key = $1 order by q.id limit 1`,
    [funnel],
  );
  return rows[0] ?? null;
}

/** The person's latest time in the sequence. */
export async function enrollmentRow(
  db: EntityManager,
  { subscriberId, sequenceId, stepKey }: { subscriberId: string; sequenceId: string; stepKey: string },
): Promise<(EnrollmentFacts & { id: string }) | null> {
  const rows: (Omit<EnrollmentFacts, 'outcomes' | 'splits' | 'toldLate'> & { id: string })[] = await db.query(
    `select e.id, e.status, e.exit_reason as "exitReason", e.step_key as "stepKey", e.next_at as "nextAt",
       e.planned_for as "plannedFor", e.started_at as "startedAt", e.ended_at as "endedAt", v.version, v.definition,
       (select j.version from sequence_version j where j.id = ${versionAt('e.started_at')}) as "joinedVersion"
     from enrollment e join sequence_version v on v.id = e.version_id
     where e.subscriber_id = $1 and e.sequence_id = $2 order by e.occurrence desc limit 1`,
    [subscriberId, sequenceId],
  );
  const row = rows[0];
  if (!row) return null;
  const { id, ...enrollment } = row;
  const outcomes: EnrollmentFacts['outcomes'] = await db.query(
    `select step_key as "stepKey", outcome, at from enrollment_step where enrollment_id = $1 order by at, step_key`,
    [id],
  );
  const splits = await splitsAt(db, { enrollmentId: id, stepKey, subscriberId, at: null });
  const toldLate: EnrollmentFacts['toldLate'] = await db.query(
    `select name as event, at, created_at as "toldAt" from subscriber_event
     where subscriber_id = $1 and at >= $2 and created_at > at order by at`,
    [subscriberId, enrollment.startedAt],
  );
  return { id, ...enrollment, outcomes, splits, toldLate };
}

/** The person's latest sign-up to the funnel. Served by signup_subscriber. */
export async function signupRow(
  db: EntityManager,
  subscriberId: string,
  funnel: string,
): Promise<{ status: string; at: Date } | null> {
  const rows: { status: string; at: Date }[] = await db.query(
    `select g.status, coalesce(g.confirmed_at, g.created_at) as at from signup g join form f on f.id = g.form_id
     where g.subscriber_id = $1 and f.funnel_key = $2 order by g.id desc limit 1`,
    [subscriberId, funnel],
  );
  return rows[0] ?? null;
}
