import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { Unchanged } from '../infra/http/etag.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import type { ListOfPerson } from './list.js';
import { listKeys } from './subscribers.queries.js';
import type { ListSignal } from './tag-signals.queries.js';
import { type Use, usesInWords, usesOfList } from './uses.queries.js';

export interface SubscriberList {
  id: string;
  key: string;
  title: string;
  description: string;
  /** Whether people see it on the page of their preferences, and may join and leave it there. */
  isPublic: boolean;
  subscribers: number;
  createdAt: Date;
}

const MAX_TITLES = 500;
const LIST = `select l.id, l.key, l.title, l.description, l.is_public as "isPublic", l.created_at as "createdAt",
    (select count(*) from list_member m where m.list_id = l.id)::int as subscribers from list l`;

/** Who is on which list. Unlike a tag, a list is made before anybody is on it. Owns `list` and `list_member`. */
@Injectable()
export class ListsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Newest first, below `beforeId`. */
  async page(beforeId: string | undefined, limit: number): Promise<SubscriberList[]> {
    return this.dataSource.query(
      `${LIST} where ($1::bigint is null or l.id < $1) order by l.id desc limit $2`,
      [beforeId ?? null, limit],
    );
  }

  /** Throws `LIST_NOT_FOUND`. */
  async get(id: string, manager: EntityManager = this.dataSource.manager): Promise<SubscriberList> {
    const rows: SubscriberList[] = await manager.query(`${LIST} where l.id = $1`, [id]);
    if (rows[0]) return rows[0];
    throw notFound('list', id);
  }

  async keys(): Promise<Set<string>> {
    return listKeys(this.dataSource.manager);
  }

  /** Throws `LIST_ALREADY_EXISTS`. */
  async create(list: Omit<SubscriberList, 'id' | 'subscribers' | 'createdAt'>): Promise<SubscriberList> {
    const rows: { id: string }[] = await this.dataSource.query(
      `insert into list (key, title, description, is_public, created_at) values ($1, $2, $3, $4, $5)
       on conflict (key) do nothing returning id`,
      [list.key, list.title, list.description, list.isPublic, this.clock.now()],
    );
    const id = rows[0]?.id;
    if (id !== undefined) return this.get(id);
    throw new DomainError('LIST_ALREADY_EXISTS', `key: there is a list "${list.key}"`, { field: 'key' });
  }

  /** Throws `LIST_NOT_FOUND`. */
  async update(
    id: string,
    change: { title?: string | undefined; description?: string | undefined; isPublic?: boolean | undefined },
    unchanged?: Unchanged<SubscriberList>,
  ): Promise<SubscriberList> {
    await this.dataSource.transaction(async (manager) => {
      unchanged?.(await this.locked(id, manager));
      await manager.query(
        `update list set title = coalesce($2, title), description = coalesce($3, description),
           is_public = coalesce($4, is_public) where id = $1`,
        [id, change.title ?? null, change.description ?? null, change.isPublic ?? null],
      );
    });
    return this.get(id);
  }

  private async locked(id: string, manager: EntityManager): Promise<SubscriberList> {
    await manager.query('select 1 from list where id = $1 for update', [id]);
    return this.get(id, manager);
  }

  /** What would not let it go. */
  async usesOf(key: string): Promise<Use[]> {
    return usesOfList(this.dataSource.manager, key);
  }

  /** Who was on it stays a subscriber. Throws `LIST_NOT_FOUND`, and `LIST_IN_USE_CONFLICT` while something asks for it. */
  async removeList(id: string, unchanged?: Unchanged<SubscriberList>): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const list = await this.locked(id, manager);
      unchanged?.(list);
      const { key } = list;
      const uses = await usesOfList(manager, key);
      if (uses.length > 0)
        throw new DomainError('LIST_IN_USE_CONFLICT', `The list "${key}" is used by ${usesInWords(uses)}`, {
          uses,
        });
      await manager.query('delete from list where id = $1', [id]);
    });
  }

  /** Those the person is on, and those that anybody may join, by title. Served by the key of `list_member`. */
  async ofPerson(
    subscriberId: string,
    manager: EntityManager = this.dataSource.manager,
  ): Promise<ListOfPerson[]> {
    return manager.query(
      `select l.id, l.key, l.title, l.description, l.is_public as "isPublic", m.list_id is not null as "isMember"
       from list l left join list_member m on m.list_id = l.id and m.subscriber_id = $1
       where l.is_public or m.list_id is not null order by l.title, l.key`,
      [subscriberId],
    );
  }

  /** Every list, for a choice: by title. */
  async titles(): Promise<Pick<SubscriberList, 'id' | 'key' | 'title'>[]> {
    return this.dataSource.query(`select id, key, title from list order by title, key limit ${MAX_TITLES}`);
  }

  /** Idempotent. Throws `LIST_NOT_FOUND` and `SUBSCRIBER_NOT_FOUND`. */
  async add(
    id: string,
    subscriberId: string,
    manager: EntityManager = this.dataSource.manager,
  ): Promise<void> {
    await this.checkThere(id, manager);
    const rows: unknown[] = await manager.query('select 1 from subscriber where id = $1', [subscriberId]);
    if (rows.length === 0) throw notFound('subscriber', subscriberId);
    await manager.query(
      `with added as (
         insert into list_member (list_id, subscriber_id, created_at) values ($1, $2, $3) on conflict do nothing returning list_id)
       ${noteOf('added', 'list')}`,
      [id, subscriberId, this.clock.now()],
    );
  }

  /** Idempotent. Throws `LIST_NOT_FOUND`. */
  async remove(
    id: string,
    subscriberId: string,
    manager: EntityManager = this.dataSource.manager,
  ): Promise<void> {
    await this.checkThere(id, manager);
    await manager.query(
      `with gone as (delete from list_member where list_id = $1 and subscriber_id = $2 returning list_id)
       ${noteOf('gone', 'unlisted')}`,
      [id, subscriberId, this.clock.now()],
    );
  }

  /**
   * By the connection of whoever asks: of readers who all save their preferences at once each would hold one and wait for
   * another, and the whole process would stand still.
   */
  private async checkThere(id: string, manager: EntityManager): Promise<void> {
    const rows: unknown[] = await manager.query('select 1 from list where id = $1', [id]);
    if (rows.length === 0) throw notFound('list', id);
  }
}

/** Of subscriber $2 at $3, for sequences that ask for the list. */
function noteOf(changed: string, kind: ListSignal['kind']): string {
  return `insert into list_signal (subscriber_id, name, kind, created_at)
    select $2, l.key, '${kind}', $3 from ${changed} c join list l on l.id = c.list_id join listened_list h on h.name = l.key`;
}
