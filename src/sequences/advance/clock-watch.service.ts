import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { putSetting } from '../../infra/database/settings.js';
import { DAY_MS, HOUR_MS } from '../../values/time-units.js';

const KEY = 'sequences.clock';
const ALERT = 'clock:ahead';
/** Less than this nobody minds, and two machines may differ by it. */
const MIND_MS = HOUR_MS;
/** Nobody can put it right: by then the owner has seen it. */
const SHOWN_MS = 7 * DAY_MS;

/**
 * Whether the clock was ahead and has been put back. Whom it moved on meanwhile it keeps waiting as long: nobody knows when
 * their steps would have been due by the right one, so the owner is told. Writes the setting `sequences.clock`.
 */
@Injectable()
export class ClockWatch {
  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Called every minute, by all workers together. Locks its row. */
  async look(): Promise<void> {
    const now = this.clock.now();
    await this.closeOld(now);
    await this.dataSource.transaction(async (manager) => {
      const [before]: { at: Date }[] = await manager.query(
        'select updated_at as at from setting where key = $1 for update',
        [KEY],
      );
      const aheadMs = before === undefined ? 0 : before.at.getTime() - now.getTime();
      if (aheadMs > MIND_MS) await this.tell(manager, now, aheadMs);
      await putSetting(manager, KEY, {}, now);
    });
  }

  private async tell(manager: EntityManager, now: Date, aheadMs: number): Promise<void> {
    const people = await movedAhead(manager, now, aheadMs);
    if (people === 0) return;
    const hours = Math.ceil(aheadMs / HOUR_MS);
    const ahead = hours < 48 ? `${hours} hours` : `${Math.round(hours / 24)} days`;
    await this.alerts.raise(
      {
        key: ALERT,
        severity: 'critical',
        message: `The clock was about ${ahead} ahead, and has been put back. People whom sequences moved on meanwhile (${people}) got mails early by that, and their next steps come as much later.`,
        facts: { people, aheadSeconds: Math.round(aheadMs / 1000) },
      },
      manager,
    );
  }

  private async closeOld(now: Date): Promise<void> {
    const old = (await this.alerts.open()).find(({ key }) => key === ALERT);
    if (old !== undefined && now.getTime() - old.lastSeenAt.getTime() > SHOWN_MS)
      await this.alerts.resolve(ALERT);
  }
}

/**
 * How many were moved on, or joined, by a clock that was so much ahead until about a minute ago. Whoever was due by then was moved on, so
 * their next time is behind that: by `enrollment_due`, `message_subscriber` and the key of `enrollment_step`.
 */
async function movedAhead(manager: EntityManager, now: Date, aheadMs: number): Promise<number> {
  const [row]: { people: number }[] = await manager.query(
    `select count(distinct e.subscriber_id)::int as people from enrollment e
     where e.status = 'active' and e.next_at > $2 and (e.started_at > $1
       or exists (select 1 from message m where m.subscriber_id = e.subscriber_id and m.enrollment_id = e.id and m.created_at > $1)
       or exists (select 1 from enrollment_step o where o.enrollment_id = e.id and o.at > $1))`,
    [new Date(now.getTime() + MIND_MS / 2), new Date(now.getTime() + aheadMs - MIND_MS / 2)],
  );
  return row?.people ?? 0;
}
