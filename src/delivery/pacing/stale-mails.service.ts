import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import { withoutSending, type MessageClass } from '../message.js';
import { RelaysService } from './relays.service.js';

const DAY_MS = 86_400_000;
const BATCH = 2_000;
const ALERT = 'relay:stale';

/**
 * Days that a mail without an end of its own waits while no relay works. RFC 5321 §4.5.4.1 has four to five. A receipt is
 * of use for longer; news of last week, all at once, make people leave.
 */
export const LONGEST_WAIT_DAYS: Readonly<Record<MessageClass, number>> = { transactional: 7, marketing: 5 };

/** Mails that wait for a relay which never comes back come to an end, and the owner hears of it. */
@Injectable()
export class StaleMails {
  constructor(
    private readonly dataSource: DataSource,
    private readonly relays: RelaysService,
    private readonly guard: GenerationGuard,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Returns how many expired. None does while a relay works, has worked within that time or was not tried all through it,
   * with the machine off, or a restored backup that may not send: what waits then does not wait for a relay. Nor does a
   * mail that a pause of the owner's or of its reader's holds. Safe to run twice at once.
   */
  async expire(): Promise<number> {
    if (!(await this.guard.state()).ok) return 0;
    const outSince = await this.relays.outSince(this.clock.now());
    if (outSince === null) return 0;
    let expired = 0;
    for (const messageClass of ['transactional', 'marketing'] as const) {
      const days = LONGEST_WAIT_DAYS[messageClass];
      const before = new Date(this.clock.now().getTime() - days * DAY_MS);
      if (outSince > before) continue;
      for (let count = BATCH; count === BATCH; expired += count)
        count = await this.expireBatch(messageClass, before, `no relay took it for ${days} days`);
    }
    if (expired > 0) await this.tell(expired);
    return expired;
  }

  /** Locks what it ends. Reads what is ready in the order of `message_ready`: rare, and no more than a claim of all would. */
  private async expireBatch(messageClass: MessageClass, before: Date, reason: string): Promise<number> {
    const [, count]: [unknown[], number] = await this.dataSource.query(
      `update message m set state = ${withoutSending(`'expired'`)}, state_reason = $3, settled_at = clock_timestamp()
       where m.id in (select r.id from message r where r.state = 'ready' and r.class = $1 and r.due_at < $2
           and coalesce(r.planned_for, r.due_at) < $2
           and (select b.state from broadcast b where b.id = r.broadcast_id) is distinct from 'paused'
           and (select true from sequence_pause q where q.funnel_key = r.funnel_key and q.resumed_at is null
             and r.kind = 'sequence' and r.class = 'marketing') is null
           and (select true from subscriber s where s.id = r.subscriber_id and s.paused_until is not null
             and r.broadcast_id is null and r.class = 'marketing') is null
         limit ${BATCH} for update of r skip locked)`,
      [messageClass, before, reason],
    );
    return count;
  }

  private async tell(expired: number): Promise<void> {
    const { transactional, marketing } = LONGEST_WAIT_DAYS;
    await this.alerts.raise({
      key: ALERT,
      severity: 'critical',
      message: `No mail relay has worked for days, and mails that waited too long have expired (${expired} at the last look): receipts and confirmations after ${transactional} days, all others after ${marketing}. They are not sent when a relay comes back.`,
      facts: { expired },
    });
  }
}
