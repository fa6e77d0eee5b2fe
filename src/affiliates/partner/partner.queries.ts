import type { EntityManager } from 'typeorm';
import type { Sender } from '../../delivery/message/message.js';
import { forgetMails } from '../../delivery/ledger/messages.queries.js';
import type { Attribution } from '../touch.js';

/** Whoever has the address and is not erased. Served by the unique key of the address. */
export async function affiliateOf(
  db: EntityManager,
  emailKey: string,
): Promise<{ id: string; name: string; email: string } | null> {
  const rows: { id: string; name: string; email: string }[] = await db.query(
    'select id, name, email from affiliate where email_key = $1 and not erased',
    [emailKey],
  );
  return rows[0] ?? null;
}

/** In whose name affiliates are written to: of a funnel that pays them, else of whichever has a form. Null for none. */
export async function senderToAffiliates(
  db: EntityManager,
): Promise<{ sender: Sender; funnelKey: string } | null> {
  const rows: { sender: Sender; funnelKey: string }[] = await db.query(
    `select f.sender, f.funnel_key as "funnelKey" from form f left join affiliate_terms t on t.funnel_key = f.funnel_key
      order by t.funnel_key is null, f.archived_at nulls first, f.id limit 1`,
  );
  return rows[0] ?? null;
}

/** A link that is to be mailed; at most a few a day for each affiliate. Null if the address is theirs no longer by now. */
export async function insertLogin(
  db: EntityManager,
  login: { affiliateId: string; emailKey: string; now: Date; expiresAt: Date },
): Promise<string | null> {
  const { affiliateId, emailKey, now, expiresAt } = login;
  // Held, so that a change of the address finds this login or is found by it.
  const rows: { id: string }[] = await db.query(
    `with theirs as (select id from affiliate where id = $1 and email_key = $2 for share)
     insert into affiliate_login (affiliate_id, created_at, expires_at) select id, $3, $4 from theirs returning id`,
    [affiliateId, emailKey, now, expiresAt],
  );
  return rows[0]?.id ?? null;
}

export async function rememberMail(db: EntityManager, loginId: string, messageId: string): Promise<void> {
  await db.query('update affiliate_login set message_id = $2 where id = $1', [loginId, messageId]);
}

/** Whether the link can be used yet. */
export async function isOpenLogin(db: EntityManager, id: string, now: Date): Promise<boolean> {
  const rows: unknown[] = await db.query(
    `select 1 from affiliate_login l join affiliate a on a.id = l.affiliate_id
      where l.id = $1 and l.used_at is null and l.expires_at > $2 and not a.erased`,
    [id, now],
  );
  return rows.length > 0;
}

/** Uses the link, once: of two requests at the same moment one gets the session. */
export async function useLogin(
  db: EntityManager,
  { id, now, sessionHash, endsAt }: { id: string; now: Date; sessionHash: Buffer; endsAt: Date },
): Promise<boolean> {
  const [used]: [unknown[], number] = await db.query(
    `update affiliate_login l set used_at = $2, session_hash = $3, session_ends_at = $4 from affiliate a
      where l.id = $1 and a.id = l.affiliate_id and l.used_at is null and l.expires_at > $2 and not a.erased returning l.id`,
    [id, now, sessionHash, endsAt],
  );
  return used.length > 0;
}

/** The affiliate whose session it is and runs. Served by the unique key of the hash. */
export async function affiliateOfSession(
  db: EntityManager,
  sessionHash: Buffer,
  now: Date,
): Promise<string | null> {
  const rows: { id: string }[] = await db.query(
    `select a.id from affiliate_login l join affiliate a on a.id = l.affiliate_id
      where l.session_hash = $1 and l.session_ends_at > $2 and not a.erased`,
    [sessionHash, now],
  );
  return rows[0]?.id ?? null;
}

export async function endSession(db: EntityManager, sessionHash: Buffer, now: Date): Promise<void> {
  await db.query(
    'update affiliate_login set session_ends_at = least(session_ends_at, $2) where session_hash = $1',
    [sessionHash, now],
  );
}

/**
 * When an affiliate is erased or has another address: no session of theirs goes on, and the mails with their links forget
 * the address. `endedBy`: only of those that had ended by then.
 */
export async function forgetLogins(
  db: EntityManager,
  affiliateId: string,
  endedBy: Date | null = null,
): Promise<void> {
  const [gone]: [{ messageId: string | null }[], number] = await db.query(
    `delete from affiliate_login where affiliate_id = $1
        and ($2::timestamptz is null or coalesce(session_ends_at, expires_at) <= $2) returning message_id as "messageId"`,
    [affiliateId, endedBy],
  );
  await forgetMails(
    db,
    gone.flatMap(({ messageId }) => (messageId === null ? [] : [messageId])),
  );
}

/** Pages of ours that a link may lead to, of the funnels that pay affiliates. */
export async function landings(db: EntityManager): Promise<{ path: string; title: string }[]> {
  return db.query(
    `select path, title from (
       select '/p/' || f.slug as path, n.title, 1 as kind, f.id from form f join funnel n on n.key = f.funnel_key
         join affiliate_terms t on t.funnel_key = f.funnel_key where f.archived_at is null
       union all
       select '/offer/' || o.slug, o.content ->> 'title', 2, o.id from offer o join affiliate_terms t on t.funnel_key = o.funnel_key
        where o.archived_at is null) page
     order by kind, id limit 50`,
  );
}

interface FunnelTerms {
  title: string;
  commissionBps: number;
  secondTierBps: number;
  hold: string;
  cookie: string;
  attribution: Attribution;
}

/** What each funnel pays. */
export async function termsOfFunnels(db: EntityManager): Promise<FunnelTerms[]> {
  return db.query(
    `select n.title, t.commission_bps as "commissionBps", t.second_tier_bps as "secondTierBps", t.hold, t.cookie, t.attribution
       from affiliate_terms t join funnel n on n.key = t.funnel_key order by n.title, n.key`,
  );
}
