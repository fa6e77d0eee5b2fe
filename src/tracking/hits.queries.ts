import type { EntityManager } from 'typeorm';
import type { HitSource, KeptHit } from './hit-batch.js';
import type { HitVerdict } from './hit-class.js';
import { type NewVerdict, NOBODY, type StoredHit } from './stored-hit.js';
import { putSetting } from '../infra/database/settings.js';

/** How the hits of one client are judged: usually, and those that come sooner after their mail than anybody reads it. */
export interface JudgedSource extends HitSource {
  usual: HitVerdict & { waits: boolean };
  tooFast: HitVerdict & { waits: boolean };
}

/**
 * Stores a batch in one statement, behind `holdSeen`; a batch that is there already changes nothing. Not stored
 * are hits on mails that are gone, and those of readers who do not want to be counted, whatever the links in older mails
 * still ask for. A link that has been removed since counts as a click on the mail.
 *
 * What the hits of one client have in common goes over once ($7), and each hit names it by its place ($6): that halves the
 * work on both sides. `offset 0` keeps the planner from looking up each mail for either verdict. `synchronous_commit` is off: a crash of PostgreSQL may lose the last moment, which the caller
 * notices by the missing batch (`storedBatches`). Locks the new rows only.
 */
export async function insertHits(
  db: EntityManager,
  {
    sources,
    hits,
    ...parameters
  }: {
    id: string;
    sources: readonly JudgedSource[];
    hits: readonly KeptHit[];
    ruleVersion: number;
    fastestMs: number;
    settleMs: number;
    now: Date;
  },
): Promise<void> {
  await db.query(
    `with quick as materialized (select set_config('synchronous_commit', 'off', true)),
          once as (insert into tracking_batch (id, stored_at) select $1, $2 from quick on conflict do nothing returning id),
          sources as materialized (select * from json_to_recordset($7::json) as (place int, kind text, "userAgent" text,
            "ipHash" text, method text, purpose text, "hasAcceptLanguage" boolean, "fetchDest" text, network text,
            local boolean, usual json, "tooFast" json)),
          verdicts as materialized (
            select place, fast, v ->> 'class' as class, v ->> 'reason' as reason, (v ->> 'waits')::boolean as waits
            from sources, lateral (values (false, usual), (true, "tooFast")) as either (fast, v))
     insert into tracking_event (kind, message_id, link_id, class, reason, rule_version, user_agent, ip_hash, at, method,
       purpose, accepted_at, has_accept_language, fetch_dest, network, local, settles_at, subscriber_id)
     select s.kind, h.message_id, l.id, v.class, v.reason, $8, s."userAgent", decode(s."ipHash", 'hex'),
       to_timestamp(h.at_ms / 1000.0), s.method, s.purpose, h.accepted_at, s."hasAcceptLanguage",
       s."fetchDest", s.network, s.local, case when v.waits then to_timestamp((h.at_ms + $9::float8) / 1000.0) end, p.id
     from once
     cross join (
       select h.*, m.subscriber_id, coalesce(m.accepted_at, m.data_at) as accepted_at,
         coalesce(h.at_ms - extract(epoch from coalesce(m.accepted_at, m.data_at)) * 1000 < $10::float8, false) as fast
       from unnest($3::bigint[], $4::bigint[], $5::float8[], $6::int[]) with ordinality
         as h (message_id, link_id, at_ms, place, turn)
       join message m on m.id = h.message_id offset 0) h
     join sources s on s.place = h.place
     join verdicts v on v.place = h.place and v.fast = h.fast
     join subscriber p on p.id = h.subscriber_id and p.tracking_consent
     left join link l on l.id = h.link_id
     order by h.turn`,
    [
      parameters.id,
      parameters.now,
      arrayOf(hits.map(({ messageId }) => messageId)),
      arrayOf(hits.map(({ linkId }) => linkId ?? 'null')),
      arrayOf(hits.map(({ atMs }) => atMs)),
      arrayOf(hits.map(({ source }) => source)),
      JSON.stringify(sources.map((source, place) => ({ ...source, place }))),
      ...[parameters.ruleVersion, parameters.settleMs, parameters.fastestMs],
    ],
  );
}

/** Numbers need no quotes, so this is a good deal cheaper than what the driver makes of an array. */
function arrayOf(numbers: readonly (string | number)[]): string {
  return `{${numbers.join(',')}}`;
}

/** Which of the batches PostgreSQL knows. By primary key. */
export async function storedBatches(db: EntityManager, ids: readonly string[]): Promise<Set<string>> {
  const rows: { id: string }[] = await db.query('select id from tracking_batch where id = any($1::uuid[])', [
    ids,
  ]);
  return new Set(rows.map(({ id }) => id));
}

/** Called by a job, hourly: the spool holds nothing of that age any more. Served by tracking_batch_stored. */
export async function forgetBatches(db: EntityManager, before: Date): Promise<void> {
  await db.query('delete from tracking_batch where stored_at < $1', [before]);
}

const UNSTORED = 'tracking.unstored.';

/**
 * Tells other processes since when hits that this one takes may not be stored yet; null when it has taken none for a
 * while. By primary key.
 */
export async function markUnstored(
  db: EntityManager,
  { processId, sinceMs, now }: { processId: string; sinceMs: number | null; now: Date },
): Promise<void> {
  await putSetting(db, UNSTORED + processId, { sinceMs }, now);
}

/** Called by a job, hourly: processes that ended a day ago tell nothing any more. */
export async function forgetMarks(db: EntityManager, before: Date): Promise<void> {
  await db.query(`delete from setting where key like '${UNSTORED}%' and updated_at < $1`, [before]);
}

/**
 * Since when hits of other processes may not be stored, as an epoch; infinite without any. Only what was marked after
 * `after`. Of one that had taken none for a while those since `idleSince` are not known.
 */
export async function unstoredElsewhere(
  manager: EntityManager,
  { besides, after, idleSince }: { besides: string; after: Date; idleSince: Date },
): Promise<number> {
  const rows: { sinceMs: number | null }[] = await manager.query(
    `select min(coalesce((value ->> 'sinceMs')::float8, $3)) as "sinceMs" from setting
      where key like '${UNSTORED}%' and key <> $1 and updated_at > $2`,
    [UNSTORED + besides, after, idleSince.getTime()],
  );
  return rows[0]?.sinceMs ?? Infinity;
}

type StoredRow = Omit<StoredHit, 'judged'> & HitVerdict;

const STORED = `e.id, e.kind, e.message_id as "messageId", e.link_id as "linkId", e.method, e.user_agent as "userAgent",
  e.purpose, e.has_accept_language as "hasAcceptLanguage", e.fetch_dest as "fetchDest", e.network,
  coalesce(e.local, false) as local, e.at, coalesce(e.accepted_at, m.accepted_at, m.data_at) as "acceptedAt", e.class, e.reason, e.rule_version as "ruleVersion",
  e.settles_at as "settlesAt", coalesce(encode(e.ip_hash, 'hex'), '${NOBODY}' || e.id) || ' ' || coalesce(e.user_agent, '') as client
  from tracking_event e join message m on m.id = e.message_id`;

/**
 * One process settles or re-judges at a time, so that nobody overwrites what another has just found. Until commit.
 * Rejects after 8 s of waiting for this lock or a later one: a connection that waits for ever is one less for the rest.
 */
export async function lockVerdicts(manager: EntityManager): Promise<void> {
  await manager.query(
    `select set_config('lock_timeout', '8s', true), pg_advisory_xact_lock(hashtext('wellspring tracking verdicts'))`,
  );
}

/**
 * Of the `limit` oldest clicks whose moment has passed, settles those that came long after their mail went out, and
 * beside which nothing came from the same mail that could tell of a machine: no other click and no scanner, only some
 * pictures. Nobody but a person is left. Answers with the number of those it looked at and of those it settled; the
 * rest is to be judged in full. Under `lockVerdicts`; served by tracking_event_waiting and tracking_event_message.
 */
export async function settleLonely(
  manager: EntityManager,
  due: {
    now: Date;
    limit: number;
    lookAroundMs: number;
    atDeliveryMs: number;
    reason: string;
    mostBeside: number;
  },
): Promise<{ looked: number; settled: number }> {
  const rows: { looked: number; settled: number }[] = await manager.query(
    `with d as materialized (
       select id, message_id, at, accepted_at, class from tracking_event where settles_at <= $1 order by settles_at, id limit $2),
     lonely as materialized (
       select d.id from d
       where d.class in ('unknown', 'human') and (d.accepted_at is null or d.at > d.accepted_at + $4 * interval '1 millisecond')
         and (select count(*) <= $6 and count(*) filter (where kind = 'click' or class = 'scanner') = 0
                from (select o.kind, o.class from tracking_event o
                       where o.message_id = d.message_id and o.id <> d.id
                         and o.at between d.at - $3 * interval '1 millisecond' and d.at + $3 * interval '1 millisecond'
                       limit $6 + 1) beside)),
     done as (
       update tracking_event e set settles_at = null, class = 'human',
         reason = case when e.class = 'unknown' then $5 else e.reason end
        from lonely l where e.id = l.id returning 1)
     select (select count(*) from d)::int as looked, (select count(*) from done)::int as settled`,
    [due.now, due.limit, due.lookAroundMs, due.atDeliveryMs, due.reason, due.mostBeside],
  );
  return rows[0] ?? { looked: 0, settled: 0 };
}

/** Clicks whose moment has passed, oldest first. Under `lockVerdicts`; served by tracking_event_waiting. */
export async function dueHits(
  manager: EntityManager,
  now: Date,
  limit: number,
): Promise<{ id: string; messageId: string; at: Date }[]> {
  return manager.query(
    `select id, message_id as "messageId", at from tracking_event where settles_at <= $1 order by settles_at, id limit $2`,
    [now, limit],
  );
}

/** All hits of these mails between two instants. Served by tracking_event_message. */
export async function hitsOfMails(
  manager: EntityManager,
  messageIds: readonly string[],
  { from, to }: { from: Date; to: Date },
): Promise<StoredHit[]> {
  const rows: StoredRow[] = await manager.query(
    `select ${STORED} where e.message_id = any($1::bigint[]) and e.at between $2 and $3`,
    [messageIds, from, to],
  );
  return rows.map(storedHit);
}

/** Which of these mails were asked for more than `most` times between two instants. Served by tracking_event_message. */
export async function hammeredMails(
  manager: EntityManager,
  messageIds: readonly string[],
  { from, to, most }: { from: Date; to: Date; most: number },
): Promise<string[]> {
  const rows: { id: string }[] = await manager.query(
    `select message_id as id from tracking_event where message_id = any($1::bigint[]) and at between $2 and $3
      group by message_id having count(*) > $4`,
    [messageIds, from, to, most],
  );
  return rows.map(({ id }) => id);
}

/**
 * Makes all hits of these mails between two instants a scanner's. Those of a proxy and of a scanner keep their verdict, and
 * the rules that it is of; any other that is not the first is kept in `earlier`.
 */
export async function closeHammered(
  manager: EntityManager,
  messageIds: readonly string[],
  { from, to, reason, ruleVersion }: { from: Date; to: Date; reason: string; ruleVersion: number },
): Promise<void> {
  if (messageIds.length === 0) return;
  const isJudged = `class in ('proxy', 'scanner')`;
  await manager.query(
    `update tracking_event set settles_at = null,
       class = case when ${isJudged} then class else 'scanner' end,
       reason = case when ${isJudged} then reason else $5 end,
       rule_version = case when ${isJudged} then rule_version else $4 end,
       earlier = case when ${isJudged} or (class = 'unknown' and settles_at is not null) then earlier
         else coalesce(earlier, '[]') || jsonb_build_object('class', class, 'reason', reason, 'ruleVersion', rule_version) end
      where message_id = any($1::bigint[]) and at between $2 and $3 and (settles_at is not null or not ${isJudged})`,
    [messageIds, from, to, ruleVersion, reason],
  );
}

/**
 * What waits, also that whose moment has not come, and was asked for within `atDeliveryMs` of its mail's acceptance; no
 * more than `limit`. Served by tracking_event_waiting.
 */
export async function waitingAtDelivery(
  manager: EntityManager,
  { limit, atDeliveryMs }: { limit: number; atDeliveryMs: number },
): Promise<StoredHit[]> {
  const rows: StoredRow[] = await manager.query(
    `select ${STORED} where e.settles_at is not null
       and (e.accepted_at is null or e.at <= e.accepted_at + $2 * interval '1 millisecond')
     order by e.settles_at limit $1`,
    [limit, atDeliveryMs],
  );
  return rows.map(storedHit);
}

/** Up to `limit` hits above `afterId` in the order they were stored, only those of `before` and earlier. */
export async function nextHits(
  manager: EntityManager,
  page: { afterId: string; before: Date; limit: number },
): Promise<{ id: string; messageId: string; ruleVersion: number; at: Date }[]> {
  return manager.query(
    `select id, message_id as "messageId", rule_version as "ruleVersion", at from tracking_event
      where id > $1 and at < $2 order by id limit $3`,
    [page.afterId, page.before, page.limit],
  );
}

/** Gives hits their verdict; nothing waits any more after it. By primary key. */
export async function updateVerdicts(
  manager: EntityManager,
  verdicts: readonly NewVerdict[],
  ruleVersion: number,
): Promise<void> {
  if (verdicts.length === 0) return;
  await manager.query(
    `update tracking_event e set class = v.class, reason = v.reason, rule_version = $2, settles_at = null,
       earlier = case when v.replaces is null then e.earlier else coalesce(e.earlier, '[]') || v.replaces end
     from json_to_recordset($1::json) as v (id bigint, class text, reason text, replaces jsonb)
     where e.id = v.id`,
    [JSON.stringify(verdicts), ruleVersion],
  );
}

/** For hits whose mail is gone: there is nothing to judge them by, and they keep the verdict they have. By primary key. */
export async function stopWaiting(manager: EntityManager, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await manager.query('update tracking_event set settles_at = null where id = any($1::bigint[])', [ids]);
}

function storedHit({ class: hitClass, reason, ...row }: StoredRow): StoredHit {
  return { ...row, judged: { class: hitClass, reason } };
}
