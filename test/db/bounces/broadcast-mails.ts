import type { BounceOffice } from './bounce-office.js';

export async function broadcastState({ db }: BounceOffice, id: string): Promise<string> {
  const rows: { state: string }[] = await db.query('select state from broadcast where id = $1', [id]);
  return rows[0]?.state ?? '';
}

/** Accepted mails of a broadcast to so many people, who all read at one provider, under one domain; `after`: so many it has there already. */
export async function acceptedMails(
  { db, clock }: BounceOffice,
  broadcastId: string,
  count: number,
  { group = 'gmail', after = 0, domain = 'example.org' } = {},
): Promise<string[]> {
  const rows: { id: string }[] = await db.query(
    `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, state,
       due_at, settled_at, accepted_at, created_at, lane_key, broadcast_id)
     select 'c:' || who, 'marketing', 'broadcast', (select max(id) from email_template), '{}', n || '@' || $6,
       decode(md5(who), 'hex'), '<' || who || '@example.com>', 'accepted', $3, $3, $3, $3, 'example.com|' || $5, $1::text::bigint
     from generate_series($4::int + 1, $4::int + $2::int) n cross join lateral (select concat_ws('-', $1::text, $5::text, $6::text, n)) k (who)
     returning id`,
    [broadcastId, count, clock.now(), after, group, domain],
  );
  return rows.map(({ id }) => id);
}
