import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../../infra/config.js';
import { takesNoWrites } from '../../infra/database/lost-connection.js';
import { KeptLeavings, type Leaver } from '../../subscribers/kept-leavings.service.js';
import { NOT_BEGUN, withoutSending, type ClaimedMessage } from '../message/message.js';
import { LEFT_BY_LINK } from '../message/state-reasons.js';

/** Whoever locks the whole ledger keeps the mails of all from going anyway. */
const LOCK = '2s';

/** Processes that answer requests look each second for leavings to hand in: with a folder of their own, this one cannot read it. */
const THEIR_TURN_MS = 3_000;

/** A run begins every two seconds while the database is there. */
const SILENT_MS = 10_000;

type EndedMail = Pick<ClaimedMessage, 'id'>;

/**
 * Mails of those who have left by a link that the database has not taken yet: the barrier does not know of it. They are ended in
 * the ledger before anything is sent, and as they are claimed, for as long as that lasts: what can be sent from a ledger can be ended in it.
 */
@Injectable()
export class LeaversMails {
  readonly #log = new Logger('Leavings');
  /** From a run that the database has ended, or has let nobody begin, until others have had their turn; `overAtMs`: since when it takes writes again. */
  #outage: { overAtMs: number | null } | null = null;
  /** When a run ended well last. */
  #endedWellMs: number | null = null;

  constructor(
    private readonly leavings: KeptLeavings,
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Calls `send` when mails may go, with a signal that is aborted with `signal`, and once somebody else comes to wait: a run
   * of minutes has claimed their mails by then.
   */
  async sendBeside(signal: AbortSignal, send: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    if (!(await this.leavings.takeUp()) || !(await this.othersHadTheirTurn())) return;
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    const forget = this.leavings.whenAnotherWaits(abort);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      if (await this.ended(this.leavings.waiting())) await send(stop.signal);
      this.#endedWellMs = performance.now();
    } catch (error) {
      if (takesNoWrites(error)) this.#outage = { overAtMs: null };
      throw error;
    } finally {
      forget();
      signal.removeEventListener('abort', abort);
    }
  }

  /** One that answers requests has the leavings that came to it. Rejects while the database takes no writes. */
  private async othersHadTheirTurn(): Promise<boolean> {
    if (this.config.roles.includes('web')) return true;
    // Jobs stand in the database: while it is away none begins that could fail. Where other workers have had all runs, it costs their turn.
    const silentMs = performance.now() - (this.#endedWellMs ?? performance.now());
    if (silentMs > SILENT_MS) this.#outage ??= { overAtMs: null };
    if (this.#outage === null) return true;
    // A standby and a full disk answer as well.
    await this.dataSource.query(
      `insert into setting (key, value, updated_at) values ('delivery.writes-again', '{}', clock_timestamp())
       on conflict (key) do update set updated_at = excluded.updated_at`,
    );
    this.#outage.overAtMs ??= performance.now();
    if (performance.now() - this.#outage.overAtMs < THEIR_TURN_MS) return false;
    this.#outage = null;
    this.#endedWellMs = null;
    return true;
  }

  /** False: they may be sent. Never rejects. */
  private async ended(leavers: readonly Leaver[]): Promise<boolean> {
    if (leavers.length === 0) return true;
    try {
      await this.end(leavers);
      return true;
    } catch (error) {
      this.#log.error(
        `The mails of readers who have left cannot be ended yet, and all wait: ${String(error)}`,
      );
      return false;
    }
  }

  /**
   * Of mails that were just claimed those of whoever waits, ended and not to be handed on: the others of a run are claimed
   * minutes after it began. Rejects when they cannot be ended.
   */
  async endAmong(claimed: readonly ClaimedMessage[]): Promise<EndedMail[]> {
    const leavers = this.leavings.waiting();
    const marketing = claimed.filter((mail) => mail.class === 'marketing');
    return leavers.length === 0 || marketing.length === 0 ? [] : this.end(leavers, marketing);
  }

  /**
   * Those of marketing that are open, but for whoever has said yes once more since; `among`: of these alone. What somebody else
   * holds just now is met at the next look, or when it is claimed. By `message_subscriber`, or by primary key.
   */
  private async end(leavers: readonly Leaver[], among?: readonly ClaimedMessage[]): Promise<EndedMail[]> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query(`set local lock_timeout = '${LOCK}'`);
      const [ended]: [EndedMail[], number] = await manager.query(
        `with gone as materialized (
           select coalesce(s.id, o.subscriber_id) as id, t.at
           from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as t (subscriber_id, message_id, at)
             left join subscriber s on s.id = t.subscriber_id left join message o on o.id = t.message_id),
         open as materialized (
           select m.id from gone g join message m on m.subscriber_id = g.id
           where m.class = 'marketing' and m.${NOT_BEGUN} and not exists (select 1 from consent_event e
             where e.subscriber_id = g.id and e.purpose = 'marketing' and e.kind = 'confirmed' and e.at > g.at)
             ${among ? 'and m.id = any($4::bigint[]) for update of m' : 'for update of m skip locked'})
         update message m set state = ${withoutSending(`'suppressed'`)}, state_reason = '${LEFT_BY_LINK}', lease_until = null,
           attempt = m.attempt - (m.state = 'leased')::int, settled_at = clock_timestamp()
         from open o where m.id = o.id returning m.id`,
        [
          leavers.map(({ subscriberId }) => subscriberId),
          leavers.map(({ messageId }) => messageId),
          leavers.map(({ at }) => at),
          ...(among ? [among.map(({ id }) => id)] : []),
        ],
      );
      return ended;
    });
  }
}
