import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { SubscriberFields } from './subscriber.js';

/** Tags and fields of many people at once, as the steps of sequences change them. */
@Injectable()
export class BatchChangesQueries {
  /**
   * Locks those of the people whom nobody else works on, until the caller's transaction ends, and returns them. Waiting
   * for the others would be a deadlock: an erasure holds the person and waits for what the caller holds.
   */
  async lockFree(manager: EntityManager, subscriberIds: readonly string[]): Promise<Set<string>> {
    const rows: { id: string }[] = await manager.query(
      'select id from subscriber where id = any($1::bigint[]) for no key update skip locked',
      [subscriberIds],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Person and tag by place. Tags that are new are made. */
  async addTags(
    manager: EntityManager,
    given: readonly { subscriberId: string; tag: string }[],
    now: Date,
  ): Promise<void> {
    if (given.length === 0) return;
    // In one order, as two batches may make the same tags; the empty update makes an old one visible below.
    await manager.query(
      `with named as (
         insert into tag (name, created_at) select name, $3 from unnest($2::text[]) name group by name order by name
         on conflict (name) do update set name = excluded.name returning id, name)
       insert into subscriber_tag (subscriber_id, tag_id, created_at)
       select distinct g.subscriber_id, named.id, $3::timestamptz from unnest($1::bigint[], $2::text[]) as g (subscriber_id, name)
       join named on named.name = g.name on conflict do nothing`,
      [given.map(({ subscriberId }) => subscriberId), given.map(({ tag }) => tag), now],
    );
  }

  /** Returns those that were there. */
  async removeTags(
    manager: EntityManager,
    given: readonly { subscriberId: string; tag: string }[],
  ): Promise<{ subscriberId: string; tag: string }[]> {
    if (given.length === 0) return [];
    const [rows]: [{ subscriberId: string; tag: string }[], number] = await manager.query(
      `delete from subscriber_tag st using unnest($1::bigint[], $2::text[]) as g (subscriber_id, name) join tag t on t.name = g.name
       where st.subscriber_id = g.subscriber_id and st.tag_id = t.id
       returning st.subscriber_id as "subscriberId", t.name as tag`,
      [given.map(({ subscriberId }) => subscriberId), given.map(({ tag }) => tag)],
    );
    return rows;
  }

  /** Each person once; null empties a field, what is left out stays. Returns what they held before. */
  async setFields(
    manager: EntityManager,
    given: readonly { subscriberId: string; fields: SubscriberFields }[],
    now: Date,
  ): Promise<Map<string, SubscriberFields>> {
    if (given.length === 0) return new Map();
    const [rows]: [{ id: string; before: SubscriberFields }[], number] = await manager.query(
      `update subscriber s set fields = jsonb_strip_nulls(s.fields || g.fields), updated_at = $3
       from unnest($1::bigint[], $2::jsonb[]) as g (id, fields) join subscriber old on old.id = g.id
       where s.id = g.id returning s.id, old.fields as before`,
      [given.map(({ subscriberId }) => subscriberId), given.map(({ fields }) => JSON.stringify(fields)), now],
    );
    return new Map(rows.map(({ id, before }) => [id, before]));
  }
}
