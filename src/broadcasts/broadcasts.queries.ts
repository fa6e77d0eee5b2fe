import { domainSql } from '../values/email-address.js';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { SqlCondition } from '../segments/compile.js';
import type { Condition } from '../segments/condition.js';
import { SegmentsService } from '../segments/segments.service.js';
import {
  type Audience,
  audienceCondition,
  compileAudience,
  compileChosen,
  segmentCondition,
  segmentsOf,
} from './audience.js';
import type { Broadcast, BroadcastDraft } from './broadcast.js';
import { USUAL_PRIORITY } from '../delivery/message/message.js';
import { listsOf } from './audience-lists.js';
import type { Recipients } from './broadcast-batch.js';
import type { PublishedWords } from './split.js';
import type { BroadcastState } from './broadcast-status.js';
import type { BroadcastTiming } from './timing.js';
import { SuppressionsService } from '../subscribers/suppressions.service.js';
import { keptFrom, type KeptFrom } from './reach.js';
import { LOCKS } from '../infra/database/advisory-locks.js';

/** What the transaction that writes a batch of mails says of it. */
export interface CursorMove {
  to: string;
  added: number;
  plannedAt: Date | null;
  withoutZone: number;
  hourPassed: number;
}

const BROADCAST = `select b.id, b.key, b.title, t.key as template, b.subject, b.offer, b.email_template_id as "templateId", b.audience, b.sender,
    b.topic_key as topic, b.state, b.state_reason as "stateReason", b.scheduled_at as "scheduledAt", b.expires_at as "expiresAt",
    b.cursor_subscriber_id as cursor, b.audience_last_id as "lastSubscriberId", b.planned_count::int as planned, b.segments,
    b.timing, b.split, b.arm_template_ids as "armTemplateIds", b.decide_at as "decideAt", b.decision,
    b.stopped_arms as "stoppedArms", b.looked_at as "lookedAt",
    b.resend_of as "resendOf", b.priority, (select r.id from broadcast r where r.resend_of = b.id and r.state <> 'cancelled') as "resentBy",
    (select json_agg(json_build_object('place', o.place, 'productId', o.product_id::text, 'until', o.content -> 'until',
       'snapshot', o.content -> 'snapshot') order by o.place) from broadcast_offer o where o.broadcast_id = b.id) as offers,
    b.without_zone_count::int as "withoutZone", b.hour_passed_count::int as "hourPassed",
    b.created_at as "createdAt", b.started_at as "startedAt", b.planned_at as "plannedAt", b.ended_at as "endedAt",
    b.paused_at as "pausedAt", b.let_go_at as "letGoAt", b.reworded, b.reworded_at as "rewordedAt"
  from broadcast b join email_template t on t.id = b.email_template_id`;

/**
 * A mail of the broadcast that has not ended. The order is that of `message_broadcast_open`: without it, PostgreSQL expects to
 * meet one soon wherever it begins, and reads the whole ledger, every few seconds for each broadcast that has ended.
 */
const OPEN_MAIL = (broadcastId: string): string =>
  `select m.id from message m where m.broadcast_id = ${broadcastId} and m.state in ('ready', 'held', 'leased') order by m.state limit 1`;

/** Of so many it is looked up whether all are suppressed. */
const FEW = 500;

/** The SQL of `broadcast`. Its mails are written by the delivery module. */
@Injectable()
export class BroadcastsQueries {
  constructor(
    private readonly dataSource: DataSource,
    private readonly segments: SegmentsService,
    private readonly suppressions: SuppressionsService,
  ) {}

  /**
   * The id of the new one; of a key that is taken, the id of the one that has it, which stays as it is. Throws
   * `SEGMENT_NOT_FOUND`, as does `updateDraft`.
   */
  async insert(
    manager: EntityManager,
    draft: BroadcastDraft & { templateId: string; key: string | null; resendOf?: string },
    now: Date,
  ): Promise<string> {
    const {
      key,
      title,
      templateId,
      subject = null,
      offer = null,
      split = null,
      audience,
      sender,
      topic,
      priority = USUAL_PRIORITY,
      expiresAt,
    } = draft;
    await this.segments.conditionsOf(segmentsOf(audience), manager);
    const rows: { id: string }[] = await manager.query(
      `insert into broadcast (title, email_template_id, audience, sender, topic_key, expires_at, created_at, key, subject, split, resend_of, priority, offer)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict (key) do nothing returning id`,
      [
        title,
        templateId,
        JSON.stringify(audience),
        JSON.stringify(sender),
        topic,
        expiresAt,
        now,
        key,
        subject,
        jsonOrNull(split),
        draft.resendOf ?? null,
        priority,
        jsonOrNull(offer),
      ],
    );
    if (rows[0]) return rows[0].id;
    const taken: { id: string }[] = await manager.query('select id from broadcast where key = $1', [key]);
    return taken[0]?.id ?? '';
  }

  async updateDraft(
    manager: EntityManager,
    id: string,
    draft: BroadcastDraft & { templateId: string },
  ): Promise<void> {
    const { title, templateId, subject = null, split = null, audience, sender, topic, expiresAt } = draft;
    const { priority = USUAL_PRIORITY, offer = null } = draft;
    await this.segments.conditionsOf(segmentsOf(audience), manager);
    await manager.query(
      `update broadcast set title = $2, email_template_id = $3, audience = $4, sender = $5, topic_key = $6, expires_at = $7, subject = $8,
         split = $9, priority = $10, offer = $11
       where id = $1 and state = 'draft'`,
      [
        id,
        title,
        templateId,
        JSON.stringify(audience),
        JSON.stringify(sender),
        topic,
        expiresAt,
        subject,
        jsonOrNull(split),
        priority,
        jsonOrNull(offer),
      ],
    );
  }

  /** Locks the row until the caller's transaction ends, so that two clicks come one after the other. */
  /** Read behind the lock: whoever waits for it while the mail is exchanged would else join its old words, and find nothing. */
  async lock(manager: EntityManager, id: string): Promise<Broadcast | null> {
    await manager.query('select 1 from broadcast where id = $1 for update', [id]);
    const rows: Broadcast[] = await manager.query(`${BROADCAST} where b.id = $1`, [id]);
    return rows[0] ?? null;
  }

  async find(id: string): Promise<Broadcast | null> {
    const rows: Broadcast[] = await this.dataSource.query(`${BROADCAST} where b.id = $1`, [id]);
    return rows[0] ?? null;
  }

  /** Newest first. */
  async list(page: { beforeId: string | undefined; limit: number }): Promise<Broadcast[]> {
    return this.dataSource.query(
      `${BROADCAST} where ($1::bigint is null or b.id < $1) order by b.id desc limit $2`,
      [page.beforeId ?? null, page.limit],
    );
  }

  /**
   * One that goes on before its beginning, or the end of its test, is not late by that: the owner's word is not overdue.
   * When it went on, on the database's clock as the ends of mails are, with the last report that there was: what the owner has
   * judged then does not pause it again; and on the application's, as due times are: its mails that an outage before it has
   * made late go. On the latter also when it was paused.
   */
  async setState(
    manager: EntityManager,
    id: string,
    change: { state: BroadcastState; reason: string | null; now: Date; judged?: boolean },
  ): Promise<void> {
    const { state, reason, now, judged = false } = change;
    await manager.query(
      `update broadcast set state = $2, state_reason = $3,
         scheduled_at = case when $2 = 'scheduled' then greatest(scheduled_at, $4::timestamptz) else scheduled_at end,
         decide_at = case when state = 'paused' and decide_at is not null then greatest(decide_at, $4) else decide_at end,
         resumed_at = case when state = 'paused' and $2 <> 'cancelled' then clock_timestamp() else resumed_at end,
         paused_at = case when $2 = 'paused' and state <> 'paused' then $4 else paused_at end,
         judged_at = case when $5 then clock_timestamp() else judged_at end,
         judged_report = case when $5 then coalesce((select max(b.id) from bounce b where b.broadcast_id = $1), 0) else judged_report end,
         let_go_at = case when state = 'paused' and $2 <> 'cancelled' then $4 else let_go_at end,
         ended_at = case when $2 in ('done', 'cancelled') then $4::timestamptz end where id = $1`,
      [id, state, reason, now, judged],
    );
  }

  /** What the owner reads of one that is about to begin; null: nothing. One in another state keeps what it says. */
  async sayOfScheduled(id: string, reason: string | null): Promise<void> {
    await this.dataSource.query(
      `update broadcast set state_reason = $2 where id = $1 and state = 'scheduled'`,
      [id, reason],
    );
  }

  async schedule(
    manager: EntityManager,
    id: string,
    { templateId, armTemplateIds, at, timing }: PublishedWords & { at: Date; timing: BroadcastTiming },
  ): Promise<void> {
    await manager.query(
      `update broadcast set state = 'scheduled', email_template_id = $2, scheduled_at = $3, timing = $4,
         arm_template_ids = $5::bigint[], state_reason = null where id = $1`,
      [id, templateId, at, JSON.stringify(timing), armTemplateIds],
    );
  }

  /**
   * Freezes the audience: who signs up from now on is not part of it, and the segments stay what they say now. Who leaves
   * a list that it is for before their mail comes up gets none; of one that is sent once more it is that of the first. Throws
   * `SEGMENT_NOT_FOUND`.
   */
  async begin(manager: EntityManager, { id, audience, resendOf }: Broadcast, now: Date): Promise<void> {
    const segments = await this.segments.conditionsOf(segmentsOf(audience), manager);
    const lists = listsOf(audience, segments);
    await manager.query(
      `update broadcast set state = 'planning', started_at = $2, segments = $3,
         lists = case when $5::bigint is null then $4::jsonb else (select f.lists from broadcast f where f.id = $5) end,
         audience_last_id = (select coalesce(max(id), 0) from subscriber) where id = $1`,
      [id, now, JSON.stringify(segments), lists.length === 0 ? null : JSON.stringify(lists), resendOf],
    );
  }

  /**
   * All that any work is left for. Ended ones only while a mail of theirs is open. `wasPaused`: a pause may hold mails of it
   * still. Served by `message_broadcast_open`.
   */
  async unfinished(now: Date): Promise<{ id: string; state: BroadcastState; wasPaused: boolean }[]> {
    return this.dataSource.query(
      `select b.id, b.state, b.resumed_at is not null as "wasPaused" from broadcast b where (b.state = 'scheduled' and b.scheduled_at <= $1)
         or b.state in ('planning', 'running')
         or (b.state in ('done', 'cancelled') and (${OPEN_MAIL('b.id')}) is not null)
       order by b.id`,
      [now],
    );
  }

  async hasOpenMails(id: string): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(`select 1 where (${OPEN_MAIL('$1')}) is not null`, [
      id,
    ]);
    return rows.length === 1;
  }

  /**
   * Recipients behind `after`, in the order of their ids. What segments say of time counts from the start, and who confirms,
   * is tagged, buys, clicks or comes into a list or a funnel after it is too late, also when a pause has kept planning
   * waiting. Fields, and what was taken away since, are read as they are when the batch is planned. Readers who want
   * a pause are among them: their mail is suppressed when it comes up, unless the pause is over by then. No lock.
   * Served by the primary key of `subscriber`.
   */
  async recipients(
    broadcast: Pick<Broadcast, 'audience' | 'lastSubscriberId' | 'segments' | 'startedAt'>,
    { after, limit }: { after: string; limit: number },
  ): Promise<Recipients> {
    const { audience, lastSubscriberId, segments, startedAt } = broadcast;
    const condition = await this.compile(audience, 4, {
      segments: segments ?? {},
      now: startedAt,
    });
    // One row of columns: thousands of rows keep the memory of this process busier than all else it does with them.
    const rows: { [K in keyof Recipients]: Recipients[K] | null }[] = await this.dataSource.query(
      `select json_agg(r.id::text) as ids, json_agg(r.email_key) as "emailKeys", json_agg(r.time_zone) as "timeZones",
         case when not bool_and(r.email = r.email_key) then json_agg(r.email) end as emails
       from (select s.id, s.email, s.email_key, s.time_zone from subscriber s
         where s.id > $1 and s.id <= $2 and ${condition.text} order by s.id limit $3) r`,
      [after, lastSubscriberId, limit, ...condition.parameters],
    );
    const { ids, emails, emailKeys, timeZones } = rows[0] ?? {};
    return {
      ids: ids ?? [],
      emails: emails ?? emailKeys ?? [],
      emailKeys: emailKeys ?? [],
      timeZones: timeZones ?? [],
    };
  }

  /** How many would get it now: counted as a segment, less the few who pause. Throws `SEGMENT_NOT_FOUND`. */
  async audienceSize({ audience }: Pick<Broadcast, 'audience'>): Promise<number> {
    const condition = audienceCondition(audience, await this.segments.conditionsOf(segmentsOf(audience)));
    if (condition === null) return this.segments.countWhere(await this.conditionNow(audience));
    const all = await this.segments.count(condition);
    const { text, parameters } = await this.compileNow(audience);
    const paused = { text: `s.paused_until is not null and ${text}`, parameters };
    return Math.max(0, all - (await this.segments.countWhere(paused)));
  }

  /** What keeps it from those it is for, where nobody would get it now; null where somebody would. Throws `SEGMENT_NOT_FOUND`. */
  async keptFrom({ audience }: Pick<Broadcast, 'audience'>): Promise<KeptFrom | null> {
    const size = await this.audienceSize({ audience });
    if (size > FEW) return null;
    const { text, parameters } = await this.conditionNow(audience);
    const readers: { key: string }[] = await this.dataSource.query(
      `select s.email_key as key from subscriber s where ${text} limit ${FEW + 1}`,
      parameters,
    );
    const suppressed = await this.suppressions.countOf(readers.map(({ key }) => key));
    if (suppressed < readers.length) return null;
    const named = segmentCondition(audience, await this.segments.conditionsOf(segmentsOf(audience)));
    const compiler = named === null ? null : await this.segments.compiler({});
    const chosen = compileChosen(
      audience,
      compiler === null || named === null ? null : (first) => compiler(named, first),
    );
    const rows: { status: string; count: number }[] = await this.dataSource.query(
      `select s.status, count(*)::int as count from subscriber s where ${chosen.text} group by 1`,
      chosen.parameters,
    );
    return keptFrom(rows, { readers: readers.length, suppressed });
  }

  /** Recipients behind the cursor, whose mails planning has still to write; counted, which takes about a second for a million. */
  async unwritten(
    broadcast: Pick<Broadcast, 'audience' | 'lastSubscriberId' | 'segments' | 'startedAt' | 'cursor'>,
  ): Promise<number> {
    const { audience, lastSubscriberId, segments, startedAt, cursor } = broadcast;
    const condition = await this.compile(audience, 3, { segments: segments ?? {}, now: startedAt });
    const rows: { count: number }[] = await this.dataSource.query(
      `select count(*)::int as count from subscriber s where s.id > $1 and s.id <= $2 and ${condition.text}`,
      [cursor, lastSubscriberId, ...condition.parameters],
    );
    return rows[0]?.count ?? 0;
  }

  /** Domains of its readers of which it is not known who takes their mail, those of most readers first. */
  async unknownDomains({ audience }: Pick<Broadcast, 'audience'>, limit: number): Promise<string[]> {
    const { text, parameters } = await this.conditionNow(audience);
    const rows: { domain: string }[] = await this.dataSource.query(
      `select r.domain from (select ${domainSql('s.email_key')} as domain, count(*) as people
         from subscriber s where ${text} group by 1) r
       where not exists (select 1 from mail_domain d where d.domain = r.domain)
       order by r.people desc, r.domain limit $${parameters.length + 1}`,
      [...parameters, limit],
    );
    return rows.map(({ domain }) => domain);
  }

  /** Who would get it now, with parameters from $1 on. Throws `SEGMENT_NOT_FOUND`. */
  async conditionNow(audience: Audience): Promise<SqlCondition> {
    const { text, parameters } = await this.compileNow(audience);
    return { text: `${text} and s.paused_until is null`, parameters };
  }

  private async compileNow(audience: Audience): Promise<SqlCondition> {
    const segments = await this.segments.conditionsOf(segmentsOf(audience));
    return this.compile(audience, 1, { segments, now: null });
  }

  private async compile(
    audience: Audience,
    first: number,
    { segments, now }: { segments: Record<string, Condition>; now: Date | null },
  ): Promise<SqlCondition> {
    const inSegments = segmentCondition(audience, segments);
    if (inSegments === null) return compileAudience(audience, first, null, now);
    const compiler = await this.segments.compiler(now === null ? {} : { now, asOf: now });
    return compileAudience(audience, first, (from) => compiler(inSegments, from), now);
  }

  /**
   * Locks the broadcast for the batch behind `from`. False when it is paused or cancelled, or another worker has planned
   * this batch meanwhile: then nothing may be written.
   */
  async lockBatch(manager: EntityManager, id: string, from: string): Promise<boolean> {
    // Batches do not wait for each other by the advisory lock, an erasure waits for all of them and they for it. The commit
    // need not wait for the disk: what a crash of PostgreSQL undoes, mails and cursor together, is planned anew, and a mail
    // goes out only behind a barrier, whose commit is waited for and takes all earlier ones along.
    const rows: unknown[] = await manager.query(
      `with erasures as materialized (
         select pg_advisory_xact_lock_shared($3), set_config('synchronous_commit', 'off', true))
       select 1 from broadcast b, erasures
       where b.id = $1 and b.state = 'planning' and b.cursor_subscriber_id = $2 for update of b`,
      [id, from, LOCKS.planning],
    );
    return rows.length === 1;
  }

  async moveCursor(
    manager: EntityManager,
    id: string,
    { to, added, plannedAt, withoutZone, hourPassed }: CursorMove,
  ): Promise<void> {
    await manager.query(
      `update broadcast set cursor_subscriber_id = $2, planned_count = planned_count + $3, planned_at = $4,
         without_zone_count = without_zone_count + $5, hour_passed_count = hour_passed_count + $6,
         state = case when $4::timestamptz is null then state else 'running' end where id = $1`,
      [id, to, added, plannedAt, withoutZone, hourPassed],
    );
  }

  async endPlanning(manager: EntityManager, id: string, now: Date): Promise<void> {
    await manager.query('update broadcast set planned_at = $2 where id = $1', [id, now]);
  }
}

function jsonOrNull(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value);
}
