import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { DomainError } from '../../values/domain-error.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { ReactionsService } from './reactions.service.js';
import { DAY_MS } from '../../values/time-units.js';

/** An event may be told as late as this; sequences cannot make up for more. */
export const EVENT_LATEST_DAYS = 30;
/** Clocks differ, and some tell whole seconds only: so near to ours is now. */
const CLOCK_SKEW_MS = 5 * 60_000;

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
   * is told again: then nothing happens, and `known` is true. `at`: when it happened, where that was before now; what asks
   * for events goes by it, and what the person is past stays so. Throws `SUBSCRIBER_NOT_FOUND` and `EVENT_TIME_INVALID`.
   */
  async tell(event: {
    subscriberId: string;
    name: string;
    key?: string | undefined;
    at?: Date | undefined;
  }): Promise<{ known: boolean }> {
    await this.subscribers.get(event.subscriberId);
    return this.dataSource.transaction(async (manager) => this.tellIn(manager, event));
  }

  /** As `tell`, of something that the caller's transaction does. */
  async tellIn(
    manager: EntityManager,
    event: Parameters<EventsService['tell']>[0],
  ): Promise<{ known: boolean }> {
    const { subscriberId, name, key } = event;
    const now = this.clock.now();
    const told = event.at ?? now;
    const isLate = now.getTime() - told.getTime() > CLOCK_SKEW_MS;
    const rows: unknown[] = await manager.query(
      `insert into subscriber_event (subscriber_id, name, key, at, created_at) values ($1, $2, $3, $4, $5)
         on conflict (subscriber_id, name, key) where key is not null do nothing returning id`,
      [subscriberId, name, key ?? null, isLate ? told : now, now],
    );
    // What is told again is known, however old it has become meanwhile.
    if (rows.length === 0) return { known: true };
    checkTime(told, now);
    const entryKey = key === undefined ? undefined : `${name} ${key}`;
    await this.reactions.happened(
      manager,
      [subscriberId],
      { kind: 'event', event: name },
      { entryKey, at: isLate ? told : undefined },
    );
    return { known: false };
  }
}

function checkTime(at: Date, now: Date): void {
  const lateMs = now.getTime() - at.getTime();
  if (lateMs >= -CLOCK_SKEW_MS && lateMs <= EVENT_LATEST_DAYS * DAY_MS) return;
  const why = lateMs < 0 ? 'has not come yet' : `is more than ${EVENT_LATEST_DAYS} days ago`;
  const facts = { field: 'at', at: at.toISOString() };
  throw new DomainError('EVENT_TIME_INVALID', `at: ${at.toISOString()} ${why}`, facts);
}
