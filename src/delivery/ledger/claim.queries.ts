import { LEAVINGS_KNOWN } from '../../subscribers/keepers.service.js';
import { fenceSql } from '../generation/generation.queries.js';
import { lateSql, OVERDUE, RESTORED, restoredSql, unsignedSql } from '../message/overdue.js';
import { fateSql, MOMENT, PROOF } from './mail-moment.queries.js';
import { withoutSending } from '../message/message.js';
import { goingWith } from '../message/words-of-mail.js';

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

const claimSql = (which: string, { of, more = '' }: { of: string; more?: string }): string => `
with due as (
  select d.* from unnest($4::text[], $15::smallint[], $5::int[]) as place (queue, priority, most) cross join lateral (
    select m.id, m.priority, m.due_at, moment.new_words,
      ${CLAIMED.state} as state,
      ${CLAIMED.why} as why
    from message m ${MOMENT} ${PROOF} where m.state = 'ready' and m.lane_key = place.queue and m.priority = place.priority and m.due_at <= $3 ${which}
    order by m.due_at, m.id limit place.most for update of m skip locked) d
  where ${FENCE} and (place.priority <= 0 or ${LEAVINGS_KNOWN})
  order by d.priority, d.due_at, d.id limit $2),${more}
taken as (
  update message m set state = ${withoutSending('due.state')}, lease_owner = $1, lease_epoch = lease_epoch + 1, data_at = null,
    email_template_id = case when due.state = 'leased' then coalesce(due.new_words, m.email_template_id) else m.email_template_id end,
    attempt = attempt + (due.state = 'leased')::int, state_reason = coalesce(due.why, m.state_reason),
    settled_at = case when due.state in ('leased', 'held') then null else clock_timestamp() end,
    accepted_at = case when due.state = 'accepted' then coalesce(m.accepted_at, $3) else m.accepted_at end,
    lease_until = case when due.state = 'leased' then ${LEASE} end
  from ${of} due where m.id = due.id returning m.*)
select t.id, t.state, case when t.state = 'held' then t.state_reason end as "heldFor", t.lease_epoch as epoch, t.attempt, t.class, t.priority, t.kind, t.address, t.message_id_header as "messageIdHeader",
  t.sender::text as sender, t.data, t.funnel_key as "funnelKey", f.title as "funnelTitle", t.step_key as "stepKey",
  t.subscriber_id as "subscriberId", s.name as "subscriberName", s.fields as "subscriberFields", coalesce(s.tracking_consent, false) as "trackingConsent",
  t.email_template_id as "templateId", t.created_at as "createdAt", t.lane_key as "queueKey",
  t.broadcast_id as "broadcastId", t.unknown_count as "unknownCount", t.send_hours_id as "sendHoursId",
  t.expires_at as "expiresAt"
from taken t
  left join lateral (select name, fields, tracking_consent from subscriber where id = t.subscriber_id offset 0) s on true
  left join funnel f on f.key = t.funnel_key
order by t.priority, t.due_at, t.id`;

export const CLAIM = claimSql('', { of: 'due' });
/**
 * As `CLAIM`, and no mail of the templates `$18`; one alone is leased, and all before it that need no sending are put aside: else
 * each of those would cost a claim of its own. A statement of its own, so that no claim of every day is planned by how many
 * mails those may be: after each pause of a relay that is out, and each end of a mail then, it may walk past all mails of a broadcast.
 * The condition is one that PostgreSQL cannot estimate: it walks in the order of what is due. Where nearly all is put off it would
 * else expect one row, read all that is ready, and ask how things stand for each that is not put off, before it takes one.
 */
export const CLAIM_OTHERS = claimSql(
  `and not coalesce(m.email_template_id = any(${goingWith('$18::bigint[]')}), false)`,
  {
    of: 'one',
    more: `
one as (
  select * from due where state <> 'leased'
  union all (select * from due where state = 'leased' order by priority, due_at, id limit 1)),`,
  },
);
