import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { MINUTE_MS } from '../values/time-units.js';
import { LeaveService } from './leave.service.js';
import type { LeaveTicket } from './leave-token.js';
import { LEAVINGS_WAIT, LeavingsAlerts } from './leavings-alerts.service.js';
import type { UnsubscribeSource } from './subscriber.js';

/** A deadlock and the like is over by then. */
const TELL_AFTER_MS = MINUTE_MS;
/** So long a look spends on them: the next word of this process waits for it, and there may be thousands. */
const LOOK_SPENDS_MS = 1_000;
const AT_ONCE = 1_000;

interface KeptLeaving extends LeaveTicket {
  via: UnsubscribeSource;
  at: Date;
}

/** In SQL, read once a statement: whose leaving waits here. Null: nobody's, as most of the time. */
export const WHO_WAITS = `(select array_agg(l.reader_id) from waiting_leaving l)`;

/**
 * Leavings that the database knows of, and that came by a file: a lock, a bug or a full disk may keep it from taking somebody off
 * the list, and hardly from writing down that they have left. From then on their mails are refused by the claim and the barrier,
 * and nobody else's wait. Owns `waiting_leaving`.
 */
@Injectable()
export class WaitingLeavings {
  readonly #log = new Logger('Leavings');
  /** Why the last that has to wait does. */
  #reason = '';

  constructor(
    private readonly dataSource: DataSource,
    private readonly leave: LeaveService,
    private readonly said: LeavingsAlerts,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Durable when it resolves. For each whether it is known: a restored backup may know neither the mail nor its reader. */
  async note(kept: readonly KeptLeaving[]): Promise<boolean[]> {
    if (kept.length === 0) return [];
    const rows: { n: number }[] = await this.dataSource.query(
      `with given as (
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[]) with ordinality as g (subscriber_id, message_id, via, at, n)),
       known as (
         select g.*, coalesce(s.id, m.subscriber_id) as reader_id from given g
           left join subscriber s on s.id = g.subscriber_id left join message m on m.id = g.message_id
         where g.message_id = 0 or m.id is not null or s.id is not null),
       noted as (
         insert into waiting_leaving as l (subscriber_id, message_id, reader_id, via, at, noted_at, tried_at)
         select distinct on (subscriber_id, message_id) subscriber_id, message_id, reader_id, via, at, $5, 'epoch' from known
         order by subscriber_id, message_id, at desc
         on conflict (message_id, subscriber_id) do update set at = greatest(l.at, excluded.at))
       select n::int from known`,
      [
        ...(['subscriberId', 'messageId', 'via', 'at'] as const).map((column) =>
          kept.map((one) => one[column]),
        ),
        this.clock.now(),
      ],
    );
    const known = new Set(rows.map(({ n }) => n));
    return kept.map((_, at) => known.has(at + 1));
  }

  /** All that can be taken off in a moment. False while some wait still. Rejects while the database is away. */
  async takeOff(): Promise<boolean> {
    await this.dataSource.query(ASKED_BACK);
    const waiting: LeaveTicket[] = await this.dataSource.query(
      `select subscriber_id as "subscriberId", message_id as "messageId" from waiting_leaving order by tried_at limit $1`,
      [AT_ONCE],
    );
    if (waiting.length === 0) {
      await this.said.say(LEAVINGS_WAIT, null);
      return true;
    }
    const untilMs = performance.now() + LOOK_SPENDS_MS;
    for (const one of waiting) {
      if (performance.now() >= untilMs) break;
      await this.takeOffOne(one);
    }
    return this.tell();
  }

  private async takeOffOne({ subscriberId, messageId }: LeaveTicket): Promise<void> {
    try {
      await this.leave.leaveWaiting({ subscriberId, messageId });
    } catch (error) {
      if (this.#reason === '') this.#log.error(`Leavings have to wait: ${String(error)}`);
      this.#reason = error instanceof Error ? error.message : String(error);
      // Behind the others: what always waits would keep them from being tried.
      await this.dataSource.query(
        'update waiting_leaving set tried_at = clock_timestamp() where subscriber_id = $1 and message_id = $2',
        [subscriberId, messageId],
      );
    }
  }

  private async tell(): Promise<boolean> {
    const [{ since }]: [{ since: Date | null }] = await this.dataSource.query(
      'select min(noted_at) as since from waiting_leaving',
    );
    if (since === null) this.#reason = '';
    const isLong = since !== null && this.clock.now().getTime() - since.getTime() >= TELL_AFTER_MS;
    await this.said.say(LEAVINGS_WAIT, isLong ? waits(this.#reason) : null);
    return since === null;
  }
}

/** Whoever has said yes once more since they left stays, and gets mails at once. */
const ASKED_BACK = `delete from waiting_leaving l where exists (select 1 from consent_event e
  where e.subscriber_id = l.reader_id and e.purpose = 'marketing' and e.kind = 'confirmed' and e.at > l.at)`;

function waits(reason: string): string {
  return (
    'Readers who left by a link cannot be taken off the list yet, although the database answers. It is tried again every ' +
    `second, and nothing of a list goes to them; the mails of all others go. The reason: ${reason}`
  );
}
