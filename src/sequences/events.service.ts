import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { ReactionsService } from './reactions.service.js';

/** What the owner's other programs tell of a person. The only writer of `subscriber_event`. */
@Injectable()
export class EventsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly reactions: ReactionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Writes the event down and lets the person's sequences react, in one transaction. `key` makes it the same event when it
   * is told again: then nothing happens, and `known` is true. Throws `SUBSCRIBER_NOT_FOUND`.
   */
  async tell(event: {
    subscriberId: string;
    name: string;
    key?: string | undefined;
    at?: Date | undefined;
  }): Promise<{ known: boolean }> {
    const { subscriberId, name, key, at } = event;
    await this.subscribers.get(subscriberId);
    return this.dataSource.transaction(async (manager) => {
      const now = this.clock.now();
      const rows: unknown[] = await manager.query(
        `insert into subscriber_event (subscriber_id, name, key, at, created_at) values ($1, $2, $3, $4, $5)
         on conflict (subscriber_id, name, key) where key is not null do nothing returning id`,
        [subscriberId, name, key ?? null, at ?? now, now],
      );
      if (rows.length === 0) return { known: true };
      const entryKey = key === undefined ? undefined : `${name} ${key}`;
      await this.reactions.happened(manager, [subscriberId], { kind: 'event', event: name }, { entryKey });
      return { known: false };
    });
  }
}
