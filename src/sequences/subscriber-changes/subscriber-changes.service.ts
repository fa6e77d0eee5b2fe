import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Unchanged } from '../../infra/http/etag.js';
import { FieldsService } from '../../subscribers/fields.service.js';
import type { Subscriber, SubscriberFields } from '../../subscribers/subscriber.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { ReactionsService } from '../events/reactions.service.js';
import { ZoneChangesService } from './zone-changes.service.js';

export interface SubscriberChange {
  name?: string | null | undefined;
  timeZone?: string | null | undefined;
  locale?: string | null | undefined;
  fields?: SubscriberFields | undefined;
}

/** What the owner or a program changes about somebody. It may end or begin sequences, in the same transaction. */
@Injectable()
export class SubscriberChangesService {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly reactions: ReactionsService,
    private readonly dataSource: DataSource,
    private readonly fields: FieldsService,
    private readonly zones: ZoneChangesService,
  ) {}

  /** Null empties a field; what is left out stays. Throws `SUBSCRIBER_NOT_FOUND` and `FIELD_VALUE_INVALID`. */
  async update(id: string, change: SubscriberChange, unchanged?: Unchanged<Subscriber>): Promise<void> {
    await this.check(id, change);
    await this.dataSource.transaction(async (manager) => {
      if (unchanged) await this.look(manager, id, unchanged);
      await this.updateIn(manager, id, change);
    });
  }

  /** Before `updateIn`. Throws `SUBSCRIBER_NOT_FOUND` and `FIELD_VALUE_INVALID`. */
  async check(id: string, { fields }: SubscriberChange): Promise<void> {
    if (fields) await this.fields.check(fields, (await this.subscribers.get(id)).fields);
  }

  async updateIn(manager: EntityManager, id: string, change: SubscriberChange): Promise<void> {
    const before = await this.subscribers.update(manager, id, change);
    if (change.timeZone !== undefined) await this.zones.changedFrom(manager, id, before.timeZone);
    await this.reactions.changed(manager, [id], { before: new Map([[id, before.fields]]) });
  }

  /** Held as the write does: whoever plans for them points at them, and we wait for that. */
  private async look(manager: EntityManager, id: string, unchanged: Unchanged<Subscriber>): Promise<void> {
    await this.subscribers.hold(manager, id);
    const subscriber = await this.subscribers.find(id, manager);
    if (subscriber) unchanged(subscriber);
  }

  /** Idempotent. Throws `SUBSCRIBER_NOT_FOUND`. */
  async addTag(id: string, name: string): Promise<void> {
    await this.subscribers.get(id);
    await this.dataSource.transaction(async (manager) => {
      await this.subscribers.tag(manager, id, name);
      await this.reactions.happened(manager, [id], { kind: 'tag', tag: name });
    });
  }

  /** Idempotent. */
  async removeTag(id: string, name: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      if (await this.subscribers.untag(manager, id, name))
        await this.reactions.happened(manager, [id], { kind: 'untagged', tag: name });
    });
  }
}
