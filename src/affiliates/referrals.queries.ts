import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { Touch } from './touch.js';

/** The touches that are kept with these people, and with whoever has the address. Served by the primary keys. */
export async function touchesOf(
  db: EntityManager,
  { subscriberIds, emailKey }: { subscriberIds: readonly string[]; emailKey: string | null },
): Promise<Touch[]> {
  return db.query(
    `with person as (
       select unnest ($1::bigint[]) as id union select s.id from subscriber s where s.email_key = $2)
     select r.affiliate_id as "affiliateId", r.touched_at as at from referral r join person on person.id = r.subscriber_id
     union select t.affiliate_id, t.touched_at from referral_touch t join person on person.id = t.subscriber_id`,
    [subscriberIds, emailKey],
  );
}

/** With a person; where nothing proves who they are, only with one who came by nobody's link yet. */
export async function keepTouches(
  db: EntityManager,
  subscriberId: string,
  { touches, isProven }: { touches: readonly Touch[]; isProven: boolean },
): Promise<void> {
  await db.query(
    `insert into referral_touch (subscriber_id, affiliate_id, touched_at)
     select $1, a.id, given.at from unnest ($2::bigint[], $3::timestamptz[]) as given (affiliate_id, at)
       join affiliate a on a.id = given.affiliate_id
      where $4 or not exists (select 1 from referral where subscriber_id = $1)
     on conflict do nothing`,
    [subscriberId, touches.map(({ affiliateId }) => affiliateId), touches.map(({ at }) => at), isProven],
  );
}

const waiting = z.array(z.object({ affiliateId: z.string(), at: z.coerce.date() }));

/** Those that waited with a sign-up for its confirmation; none for one of before they did. */
export function earlierTouches(stored: unknown): Touch[] {
  const read = waiting.safeParse(stored);
  return read.success ? read.data : [];
}
