import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { StoredTag } from '../subscribers/tag.js';
import { TagsService } from '../subscribers/tags.service.js';
import { withTagRenamed } from './rename-tag.js';
import { SegmentsQueries } from './segments.queries.js';

/** Changes of tags that segments follow: they ask for the same people as before. */
@Injectable()
export class TagChangesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly tags: TagsService,
    private readonly segments: SegmentsQueries,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws as `TagsService.rename` does. */
  async rename(id: string, name: string): Promise<StoredTag> {
    return this.dataSource.transaction(async (manager) => {
      const { before, tag } = await this.tags.rename(manager, id, name);
      await this.follow(manager, before, tag.name);
      return tag;
    });
  }

  /** The tag that is left. Throws as `TagsService.merge` does. */
  async merge(id: string, intoId: string): Promise<StoredTag> {
    return this.dataSource.transaction(async (manager) => {
      const { from, into } = await this.tags.merge(manager, id, intoId);
      await this.follow(manager, from, into.name);
      return into;
    });
  }

  private async follow(manager: EntityManager, from: string, to: string): Promise<void> {
    if (from === to) return;
    for (const segment of await this.segments.withTag(manager, from)) {
      const conditions = withTagRenamed(segment.conditions, from, to);
      await this.segments.update(segment.id, { ...segment, conditions }, this.clock.now(), manager);
    }
  }
}
