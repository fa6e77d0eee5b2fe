import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { usesInWords, usesOfList } from './uses.queries.js';

export interface SubscriberList {
  id: string;
  key: string;
  title: string;
  description: string;
  subscribers: number;
  createdAt: Date;
}

const LIST = `select l.id, l.key, l.title, l.description, l.created_at as "createdAt",
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
  async get(id: string): Promise<SubscriberList> {
    const rows: SubscriberList[] = await this.dataSource.query(`${LIST} where l.id = $1`, [id]);
    if (rows[0]) return rows[0];
    throw new DomainError('LIST_NOT_FOUND', `There is no list with the id ${id}`, { id });
  }

  async keys(): Promise<Set<string>> {
    const rows: { key: string }[] = await this.dataSource.query('select key from list');
    return new Set(rows.map(({ key }) => key));
  }

  /** Throws `LIST_ALREADY_EXISTS`. */
  async create(list: Pick<SubscriberList, 'key' | 'title' | 'description'>): Promise<SubscriberList> {
    const rows: { id: string }[] = await this.dataSource.query(
      `insert into list (key, title, description, created_at) values ($1, $2, $3, $4) on conflict (key) do nothing returning id`,
      [list.key, list.title, list.description, this.clock.now()],
    );
    const id = rows[0]?.id;
    if (id !== undefined) return this.get(id);
    throw new DomainError('LIST_ALREADY_EXISTS', `key: there is a list "${list.key}"`, { field: 'key' });
  }

  /** Throws `LIST_NOT_FOUND`. */
  async update(
    id: string,
    { title, description }: { title?: string | undefined; description?: string | undefined },
  ): Promise<SubscriberList> {
    await this.dataSource.query(
      'update list set title = coalesce($2, title), description = coalesce($3, description) where id = $1',
      [id, title ?? null, description ?? null],
    );
    return this.get(id);
  }

  /** Who was on it stays a subscriber. Throws `LIST_NOT_FOUND`, and `LIST_IN_USE_CONFLICT` while something asks for it. */
  async removeList(id: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const { key } = await this.get(id);
      const uses = await usesOfList(manager, key);
      if (uses.length > 0)
        throw new DomainError('LIST_IN_USE_CONFLICT', `The list "${key}" is used by ${usesInWords(uses)}`, {
          uses,
        });
      await manager.query('delete from list where id = $1', [id]);
    });
  }

  /** Idempotent. Throws `LIST_NOT_FOUND` and `SUBSCRIBER_NOT_FOUND`. */
  async add(
    id: string,
    subscriberId: string,
    manager: EntityManager = this.dataSource.manager,
  ): Promise<void> {
    await this.get(id);
    const rows: unknown[] = await manager.query('select 1 from subscriber where id = $1', [subscriberId]);
    if (rows.length === 0) {
      const message = `There is no subscriber with the id ${subscriberId}`;
      throw new DomainError('SUBSCRIBER_NOT_FOUND', message, { id: subscriberId });
    }
    await manager.query(
      'insert into list_member (list_id, subscriber_id, created_at) values ($1, $2, $3) on conflict do nothing',
      [id, subscriberId, this.clock.now()],
    );
  }

  /** Idempotent. Throws `LIST_NOT_FOUND`. */
  async remove(id: string, subscriberId: string): Promise<void> {
    await this.get(id);
    await this.dataSource.query('delete from list_member where list_id = $1 and subscriber_id = $2', [
      id,
      subscriberId,
    ]);
  }
}
