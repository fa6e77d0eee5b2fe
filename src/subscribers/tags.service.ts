import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { BOUGHT, type StoredTag } from './tag.js';
import { type Use, usesInWords, usesOfTag } from './uses.queries.js';

const TAG = `select t.id, t.name, t.created_at as "createdAt",
    (select count(*) from subscriber_tag st where st.tag_id = t.id)::int as subscribers from tag t`;

/** Enough to choose from. */
const MOST_NAMES = 300;

/** Tags as such; who has them is changed with the person. Writes `tag` and `subscriber_tag` beside `SubscribersService`. */
@Injectable()
export class TagsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** By name, behind `after`; those whose name has `part` in it. */
  async page(part: string, after: string, limit: number): Promise<StoredTag[]> {
    return this.dataSource.query(
      `${TAG} where ($1 = '' or strpos(lower(t.name), lower($1)) > 0) and ($2 = '' or t.name > $2)
       order by t.name limit $3`,
      [part, after, limit],
    );
  }

  async names(): Promise<string[]> {
    const rows: { name: string }[] = await this.dataSource.query(
      `select name from tag where not starts_with(name, $1) order by name limit $2`,
      [BOUGHT, MOST_NAMES],
    );
    return rows.map(({ name }) => name);
  }

  /** Throws `TAG_NOT_FOUND`. */
  async get(id: string, manager: EntityManager = this.dataSource.manager): Promise<StoredTag> {
    const rows: StoredTag[] = await manager.query(`${TAG} where t.id = $1`, [id]);
    if (rows[0]) return rows[0];
    throw notFound('tag', id);
  }

  async findByName(name: string): Promise<StoredTag | null> {
    const rows: StoredTag[] = await this.dataSource.query(`${TAG} where t.name = $1`, [name]);
    return rows[0] ?? null;
  }

  /** What names it; segments follow a new name and hold against a removal. */
  async usesOf(name: string): Promise<Use[]> {
    return usesOfTag(this.dataSource.manager, name, { withSegments: true });
  }

  /** The people keep it. `before`: its name as it was under the lock. Throws `TAG_NOT_FOUND`, `TAG_ALREADY_EXISTS` and `TAG_IN_USE_CONFLICT`. */
  async rename(
    manager: EntityManager,
    id: string,
    name: string,
  ): Promise<{ before: string; tag: StoredTag }> {
    const [found] = await this.lock(manager, [id]);
    const before = found?.name ?? name;
    if (before === name) return { before, tag: await this.get(id, manager) };
    await this.checkFree(manager, before, { withSegments: false });
    checkOwn(name);
    const [rows]: [unknown[], number] = await manager.query(
      `update tag set name = $2 where id = $1 and not exists (select 1 from tag o where o.name = $2) returning id`,
      [id, name],
    );
    if (rows.length === 0)
      throw new DomainError('TAG_ALREADY_EXISTS', `name: there is a tag "${name}"; merge the two instead`, {
        field: 'name',
      });
    await this.noteGained(manager, id, name);
    return { before, tag: await this.get(id, manager) };
  }

  /**
   * Whoever has the first has the second from then on, and the first is gone. Sequences that listen for the second hear of
   * those who gained it. Throws `TAG_NOT_FOUND`, `TAG_MERGE_INVALID` and `TAG_IN_USE_CONFLICT`.
   */
  async merge(
    manager: EntityManager,
    id: string,
    intoId: string,
  ): Promise<{ from: string; into: StoredTag }> {
    if (id === intoId)
      throw new DomainError('TAG_MERGE_INVALID', 'into: name another tag', { field: 'into' });
    // In one order, so that two merges do not wait for each other.
    const tags = await this.lock(manager, [id, intoId]);
    const from = tags.find((tag) => tag.id === id);
    const into = tags.find((tag) => tag.id === intoId);
    if (!from || !into) throw notFound('tag', id);
    await this.checkFree(manager, from.name, { withSegments: false });
    checkOwn(into.name);
    await manager.query(
      `with gained as (
         insert into subscriber_tag (subscriber_id, tag_id, created_at)
         select st.subscriber_id, $2, st.created_at from subscriber_tag st where st.tag_id = $1
         on conflict do nothing returning subscriber_id)
       insert into tag_signal (subscriber_id, name, created_at)
       select gained.subscriber_id, $3, $4 from gained where exists (select 1 from listened_tag l where l.name = $3)`,
      [id, intoId, into.name, this.clock.now()],
    );
    await this.drop(manager, id);
    return { from: from.name, into: await this.get(intoId, manager) };
  }

  /** Nobody has it any more. Throws `TAG_NOT_FOUND` and `TAG_IN_USE_CONFLICT`. */
  async remove(id: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const [tag] = await this.lock(manager, [id]);
      if (tag === undefined) throw notFound('tag', id);
      await this.checkFree(manager, tag.name, { withSegments: true });
      await this.drop(manager, id);
    });
  }

  /** The name is new: a sequence may have listened for it before anybody had it. */
  private async noteGained(manager: EntityManager, id: string, name: string): Promise<void> {
    await manager.query(
      `insert into tag_signal (subscriber_id, name, created_at)
       select st.subscriber_id, $2, $3 from subscriber_tag st
       where st.tag_id = $1 and exists (select 1 from listened_tag l where l.name = $2)`,
      [id, name, this.clock.now()],
    );
  }

  /** `subscriber_tag` has no foreign key. Served by subscriber_tag_tag. */
  private async drop(manager: EntityManager, id: string): Promise<void> {
    await manager.query('delete from subscriber_tag where tag_id = $1', [id]);
    await manager.query('delete from tag where id = $1', [id]);
  }

  /** Whoever puts one of them on somebody waits until the caller's transaction ends, and then makes it anew; by name, as they do. */
  private async lock(
    manager: EntityManager,
    ids: readonly string[],
  ): Promise<{ id: string; name: string }[]> {
    return manager.query('select id, name from tag where id = any($1::bigint[]) order by name for update', [
      ids,
    ]);
  }

  private async checkFree(
    manager: EntityManager,
    name: string,
    which: { withSegments: boolean },
  ): Promise<void> {
    checkOwn(name);
    const uses = await usesOfTag(manager, name, which);
    if (uses.length === 0) return;
    throw new DomainError('TAG_IN_USE_CONFLICT', `The tag "${name}" is used by ${usesInWords(uses)}`, {
      uses,
    });
  }
}

/** Conditions on what was bought read these tags. */
function checkOwn(name: string): void {
  if (!name.startsWith(BOUGHT)) return;
  const message = `Tags that begin with "${BOUGHT}" say what was bought; orders alone put them on people and take them off`;
  throw new DomainError('TAG_IN_USE_CONFLICT', message, { uses: [] });
}
