import type { EntityManager } from 'typeorm';

/**
 * Who has an address by nothing but a form into which anybody may have typed it: no button of a mail there was pressed, and nothing
 * was bought. Null for everybody else. Held against a press meanwhile.
 */
export async function unprovenHolder(manager: EntityManager, emailKey: string): Promise<string | null> {
  await manager.query('select 1 from subscriber where email_key = $1 for update', [emailKey]);
  const rows: { id: string }[] = await manager.query(
    `select s.id from subscriber s where s.email_key = $1 and s.status in ('pending', 'active')
       and exists (select from signup g where g.subscriber_id = s.id)
       and not exists (select from signup g where g.subscriber_id = s.id and g.confirmed_at is not null and g.confirmation_count > 0)
       and not exists (select from orders o where o.subscriber_id = s.id)
       and not exists (select from membership m where m.subscriber_id = s.id)
       and not exists (select from address_change c where c.subscriber_id = s.id and c.changed_at is not null)`,
    [emailKey],
  );
  return rows[0]?.id ?? null;
}
