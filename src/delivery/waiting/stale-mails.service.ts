import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import { DKIM_ALERT, withoutSending, type MessageClass } from '../message/message.js';
import { keptByKeySql } from '../message/overdue.js';
import { EXPIRY } from '../message/expiry.js';
import { LONGEST_WAIT_DAYS } from './longest-wait.js';
import { IS_PAUSED, MOMENT } from '../ledger/mail-moment.queries.js';
import { RelaysService } from '../relays/relays.service.js';
import { DAY_MS } from '../../values/time-units.js';

const BATCH = 2_000;
const ALERT = 'relay:stale';
const UNSIGNED_ALERT = 'signing:stale';
const PUT_OFF_ALERT = 'sending:put-off';
const ALERTS: ReadonlySet<string> = new Set([ALERT, UNSIGNED_ALERT, PUT_OFF_ALERT]);
const SHOWN_DAYS = 7;
const CLASSES = ['transactional', 'marketing'] as const;

/** A mail whose tries are not counted asks again within two hours. */
const ASKS_AGAIN_MS = 135 * 60_000;

/** Mails that wait for a relay or a key which never comes back, or are put off for ever, come to an end, and the owner hears of it. */
@Injectable()
export class StaleMails {
  constructor(
    private readonly dataSource: DataSource,
    private readonly relays: RelaysService,
    private readonly guard: GenerationGuard,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Returns how many expired. None does while a restored backup may not send. Safe to run twice at once. */
  async expire(): Promise<number> {
    await this.closeOld();
    if (!(await this.guard.state()).ok) return 0;
    return (await this.expireUnrelayed()) + (await this.expireUnsigned()) + (await this.expirePutOff());
  }

  /**
   * None does while a relay works, has worked within that time or was not tried all through it, with the machine off: what
   * waits then does not wait for a relay. Nor does a mail that a pause of the owner's or of its reader's holds.
   */
  private async expireUnrelayed(): Promise<number> {
    const outSince = await this.relays.outSince(this.clock.now());
    if (outSince === null) return 0;
    let expired = 0;
    for (const messageClass of CLASSES) {
      const { days, before } = this.limit(messageClass);
      if (outSince > before) continue;
      expired += await this.inBatches(
        // Read in the order of `message_ready`: rare, and no more than a claim of all would.
        `m.class = $1 and m.due_at < $2 and coalesce(m.planned_for, m.due_at) < $2`,
        [messageClass, before, EXPIRY.unrelayed(days)],
      );
    }
    if (expired > 0) await this.tell(expired);
    return expired;
  }

  /**
   * Mails whose sender's key is missing or bad, as their own tries show, on each day of that time: those of a machine that
   * was off, or of a pause that is over, have had too few. Looks at what is ready only while an alert says that mail waits so.
   */
  private async expireUnsigned(): Promise<number> {
    const waiting = (await this.alerts.open()).some(({ key }) => key.startsWith(DKIM_ALERT));
    if (!waiting) return 0;
    let expired = 0;
    for (const messageClass of CLASSES) {
      const { days, before } = this.limit(messageClass);
      // Tries stand on the database's clock. By the primary key of `message_attempt`, whose epochs are in order.
      expired += await this.inBatches(
        `m.class = $1 and coalesce(m.planned_for, m.due_at) < $2 and ${keptByKeySql('m')}
           and (select a.started_at from message_attempt a where a.message_id = m.id and a.stage = 'signing' order by a.epoch limit 1)
             < clock_timestamp() - $4 * interval '1 day'
           and (select count(distinct a.started_at::date) from message_attempt a
             where a.message_id = m.id and a.stage = 'signing') >= $4::int`,
        [messageClass, before, EXPIRY.unsigned(days), days],
      );
    }
    if (expired > 0) await this.tellUnsigned(expired);
    return expired;
  }

  /**
   * Mails that were tried on each day of that time and put off at every try, whoever the relay takes others from: by one
   * reader's mailbox or server that is always too busy, as the one relay that may take them never works, or as they kill the
   * worker each time. Their tries are not counted, so nothing else would end them. What waits for its own pace, or for a machine that is off, has had too few. Reads in
   * `message_ready` what is due, as a claim of all would; tries by their primary key, of those few that were claimed so often.
   */
  private async expirePutOff(): Promise<number> {
    const dueBefore = new Date(this.clock.now().getTime() + ASKS_AGAIN_MS);
    let expired = 0;
    for (const messageClass of CLASSES) {
      const { days } = this.limit(messageClass);
      expired += await this.inBatches(
        `m.class = $1 and m.due_at < $2 and m.planned_for is not null and m.lease_epoch >= $4::int
           and (select min(a.started_at) < clock_timestamp() - $4 * interval '1 day' and count(distinct a.started_at::date) >= $4
             from message_attempt a where a.message_id = m.id and a.outcome in ('ready', 'left_behind'))`,
        [messageClass, dueBefore, EXPIRY.putOff(days), days],
      );
    }
    if (expired > 0) await this.tellPutOff(expired);
    return expired;
  }

  /** What has expired nobody can put right: after a week the owner has seen it. */
  private async closeOld(): Promise<void> {
    const before = new Date(this.clock.now().getTime() - SHOWN_DAYS * DAY_MS);
    for (const { key, lastSeenAt } of await this.alerts.open())
      if (ALERTS.has(key) && lastSeenAt < before) await this.alerts.resolve(key);
  }

  private limit(messageClass: MessageClass): { days: number; before: Date } {
    const days = LONGEST_WAIT_DAYS[messageClass];
    return { days, before: new Date(this.clock.now().getTime() - days * DAY_MS) };
  }

  /** Of mails `m`; locks what it ends. `$3`: why. */
  private async inBatches(condition: string, values: readonly unknown[]): Promise<number> {
    let expired = 0;
    for (let count = BATCH; count === BATCH; expired += count) {
      const [, ended]: [unknown[], number] = await this.dataSource.query(
        `update message m set state = ${withoutSending(`'expired'`)}, state_reason = $3, settled_at = clock_timestamp()
         where m.id in (select m.id from message m ${MOMENT} where m.state = 'ready' and ${condition} and not ${IS_PAUSED}
           limit ${BATCH} for update of m skip locked)`,
        [...values],
      );
      count = ended;
    }
    return expired;
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

  private async tellUnsigned(expired: number): Promise<void> {
    const { transactional, marketing } = LONGEST_WAIT_DAYS;
    await this.alerts.raise({
      key: UNSIGNED_ALERT,
      severity: 'critical',
      message: `Mails that waited too long for a DKIM key have expired (${expired} at the last look): receipts and confirmations after ${transactional} days, all others after ${marketing}. They are not sent when the key is put right.`,
      facts: { expired },
    });
  }

  private async tellPutOff(expired: number): Promise<void> {
    const { transactional, marketing } = LONGEST_WAIT_DAYS;
    await this.alerts.raise({
      key: PUT_OFF_ALERT,
      severity: 'warning',
      message: `Mails that were put off at every try have expired (${expired} at the last look): receipts and confirmations after ${transactional} days, all others after ${marketing}. What was answered stands in each mail's history.`,
      facts: { expired },
    });
  }
}
