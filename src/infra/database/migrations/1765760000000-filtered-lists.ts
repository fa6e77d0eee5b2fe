import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The API's lists of one broadcast's or one step's mails and of one person's orders, newest first: each page is read from the
 * index in its order. Without the id in it, a page of a broadcast of a million had all of them sorted. `message_funnel`
 * serves reports as before; it has every state now, as a list of mails does.
 */
export class FilteredLists1765760000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const sql of [
      'create index message_broadcast on message (broadcast_id, id) where broadcast_id is not null',
      'drop index message_funnel',
      'create index message_funnel on message (funnel_key, step_key, id) where funnel_key is not null',
      'drop index orders_subscriber',
      'create index orders_subscriber on orders (subscriber_id, id) where subscriber_id is not null',
    ])
      await runner.query(sql);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
