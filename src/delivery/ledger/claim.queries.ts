import { fenceSql } from '../generation/generation.queries.js';
import { lateSql, OVERDUE, RESTORED, restoredSql, unsignedSql } from '../message/overdue.js';
import { fateSql, MOMENT, PROOF } from './mail-moment.queries.js';
import { withoutSending } from '../message/message.js';

/** A relay that takes longer has its lease renewed. A process that stood still for a while must not be taken for dead. */
export const LEASE = `clock_timestamp() + interval '5 minutes'`;

const CLAIMED = fateSql('leased', {
  isExpired: 'm.expires_at <= $3',
  restored: {
    when: restoredSql('m', { confirmedAt: '$6', action: '$7' }),
    state: '$7::text',
    why: `'${RESTORED}'`,
  },
  late: {
    when: `(${lateSql('m', { overdueBefore: '$8', dueBy: '$9', action: '$10' })}
      or ${unsignedSql('m', { before: '$16', action: '$17' })})`,
    state: 'coalesce($10::text, $17)',
    why: `'${OVERDUE}'`,
  },
});
const FENCE = fenceSql({ lineage: '$11', generation: '$12', counter: '$13', server: '$14' });

const claimSql = (which: string): string => `
with due as (
  select d.* from unnest($4::text[], $15::smallint[], $5::int[]) as place (lane, priority, most) cross join lateral (
    select m.id, m.priority, m.due_at,
      ${CLAIMED.state} as state,
      ${CLAIMED.why} as why
    from message m ${MOMENT} ${PROOF} where m.state = 'ready' and m.lane_key = place.lane and m.priority = place.priority and m.due_at <= $3 ${which}
    order by m.due_at, m.id limit place.most for update of m skip locked) d
  where ${FENCE}
  order by d.priority, d.due_at, d.id limit $2),
taken as (
  update message m set state = ${withoutSending('due.state')}, lease_owner = $1, lease_epoch = lease_epoch + 1, data_at = null,
    attempt = attempt + (due.state = 'leased')::int, state_reason = coalesce(due.why, m.state_reason),
    settled_at = case when due.state in ('leased', 'held') then null else clock_timestamp() end,
    accepted_at = case when due.state = 'accepted' then coalesce(m.accepted_at, $3) else m.accepted_at end,
    lease_until = case when due.state = 'leased' then ${LEASE} end
  from due where m.id = due.id returning m.*)
select t.id, t.state, case when t.state = 'held' then t.state_reason end as "heldFor", t.lease_epoch as epoch, t.attempt, t.class, t.kind, t.address, t.message_id_header as "messageIdHeader",
  t.sender::text as sender, t.data, t.funnel_key as "funnelKey", f.title as "funnelTitle", t.step_key as "stepKey",
  t.subscriber_id as "subscriberId", s.name as "subscriberName", s.fields as "subscriberFields", coalesce(s.tracking_consent, false) as "trackingConsent",
  t.email_template_id as "templateId", t.created_at as "createdAt", t.lane_key as "laneKey",
  t.broadcast_id as "broadcastId", t.unknown_count as "unknownCount", t.send_hours_id as "sendHoursId"
from taken t
  left join lateral (select name, fields, tracking_consent from subscriber where id = t.subscriber_id offset 0) s on true
  left join funnel f on f.key = t.funnel_key
order by t.priority, t.due_at, t.id`;

export const CLAIM = claimSql('');
/**
 * As `CLAIM`, and no mail of the templates `$18`. A statement of its own, so that no claim of every day is planned by how many
 * mails those may be: after each pause of a relay that is out, and each end of a mail then, it may walk past all mails of a broadcast.
 */
export const CLAIM_OTHERS = claimSql('and m.email_template_id <> all($18::bigint[])');
