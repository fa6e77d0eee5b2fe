import type { EntityManager } from 'typeorm';
import { LOCKS } from '../../infra/database/advisory-locks.js';

/** Waits for what is being planned for a person at this moment: its mail would not be seen yet. */
export async function untilPlanned(manager: EntityManager, subscriberId: string): Promise<void> {
  await manager.query('select 1 from enrollment where subscriber_id = $1 for update', [subscriberId]);
  await manager.query('select pg_advisory_xact_lock($1)', [LOCKS.planning]);
}

interface Move {
  subscriberId: string;
  before: Buffer;
  address: string;
  addressHash: Buffer;
  /** Whose servers take mail for the new address, as in the key of a queue. */
  group: string;
}

/**
 * The mails of a person that wait go to their new address, as the same mails: key and Message-ID stay. Not one that a worker has in
 * hand, or that may have been taken at the old address: it goes there or nowhere, as a second one elsewhere would be the same mail
 * twice. Nor notices and what asks for a confirmation, whose links are about the old address, nor what a program has sent to an address that it named, nor a broadcast that the new mailbox has had. In one order, as all who
 * change several mails of a person. Served by message_subscriber and message_broadcast_mailbox.
 */
export async function moveWaiting(
  manager: EntityManager,
  { subscriberId, before, address, addressHash, group }: Move,
): Promise<void> {
  await manager.query(
    `update message m set address = $3, address_hash = $4, lane_key = case when m.lane_key like '%|%' then split_part(m.lane_key, '|', 1) || '|' || $5 else m.lane_key end
     from (select w.id from message w where w.subscriber_id = $1 and w.address_hash = $2 and w.kind not in ('notice', 'confirmation', 'api')
         and w.state in ('ready', 'held') and w.unknown_count = 0
         and (w.broadcast_id is null or not exists (select from message o
           where o.broadcast_id = w.broadcast_id and o.address_hash = $4 and o.id <> w.id))
       order by w.id for update of w) waiting
     where m.id = waiting.id`,
    [subscriberId, before, address, addressHash, group],
  );
}
