import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Wake } from '../../infra/jobs/wake.js';
import { notFound } from '../../values/not-found.js';
import { letGo } from '../message/expiry.js';
import { SEQUENCE_PAUSED } from '../message/state-reasons.js';
import { countAnew } from '../ledger/counted-anew.queries.js';
import { SEND_DUE } from '../ledger/send-due.js';
import { lengthenPromises, PROMISED_UNTIL } from './lengthened-promises.queries.js';

/** So many rows in one transaction. */
const BATCH = 5_000;
/** Lets go, in batches, of what was held for a pause that is over. */
export const RELEASE_PAUSED = 'delivery.release-paused';
/** Who pauses by hand has judged nothing of what came back. */
const BY_OWNER = 'paused by the owner';
const alertKey = (funnelKey: string): string => `bounces:sequence:${funnelKey}`;

/** What is wrong, for people, and the numbers behind it. */
interface SequenceTrouble {
  reason: string;
  facts: object;
}

export interface SequencePause {
  funnelKey: string;
  reason: string;
  pausedAt: Date;
}

/**
 * Pauses of the mails that a funnel's sequences plan: people stay at their steps, and mails that are planned wait, held,
 * until the owner lets them go on. Obeyed by the claim and the barrier, which read `sequence_pause`; written here only.
 */
@Injectable()
export class SequencePauses {
  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async all(): Promise<SequencePause[]> {
    return this.dataSource.query(
      `select funnel_key as "funnelKey", reason, paused_at as "pausedAt" from sequence_pause
       where resumed_at is null order by paused_at`,
    );
  }

  /** When the owner last let each go on that was paused for what came back: they have judged that, and it does not pause it again. */
  async judgements(): Promise<Map<string, Date>> {
    const rows: { funnelKey: string; at: Date }[] = await this.dataSource.query(
      `select funnel_key as "funnelKey", judged_at as at from sequence_pause where judged_at is not null`,
    );
    return new Map(rows.map(({ funnelKey, at }) => [funnelKey, at]));
  }

  /** In force for every mail whose body has not begun. False when it was paused already, which keeps its reason. */
  async pause(
    funnelKey: string,
    reason: string,
    manager: EntityManager = this.dataSource.manager,
  ): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `insert into sequence_pause (funnel_key, reason, paused_at) values ($1, $2, $3)
       on conflict (funnel_key) do update set reason = excluded.reason, paused_at = excluded.paused_at, resumed_at = null, released_at = null
       where sequence_pause.resumed_at is not null returning funnel_key`,
      [funnelKey, reason, this.clock.now()],
    );
    return rows.length === 1;
  }

  /** As `pause`, by the owner. Throws `FUNNEL_NOT_FOUND`. */
  async pauseByOwner(funnelKey: string): Promise<void> {
    await this.requireFunnel(funnelKey);
    await this.pause(funnelKey, BY_OWNER);
  }

  /** Throws `FUNNEL_NOT_FOUND`. */
  async requireFunnel(funnelKey: string): Promise<void> {
    const known: unknown[] = await this.dataSource.query('select 1 from funnel where key = $1', [funnelKey]);
    if (known.length === 0) throw notFound('funnel', funnelKey, 'key');
  }

  /**
   * Its mails go from now on, none of them late by the pause: some at once, and who lets them go on does not wait for the rest, which
   * the job releases. Returns how many waited; 0 also when it is not paused.
   */
  async resume(funnelKey: string): Promise<number> {
    const now = this.clock.now();
    const waited = await this.dataSource.transaction(async (manager) => {
      const [ended]: [{ pausedAt: Date }[], number] = await manager.query(
        `update sequence_pause set resumed_at = $2, judged_at = case when reason <> $3 then $2 else judged_at end
         where funnel_key = $1 and resumed_at is null returning paused_at as "pausedAt"`,
        [funnelKey, now, BY_OWNER],
      );
      for (const { pausedAt } of ended) await this.lengthenWaits(manager, funnelKey, { pausedAt, now });
      await this.alerts.resolve(alertKey(funnelKey), manager);
      return ended.length === 0 ? 0 : this.waiting(manager, funnelKey);
    });
    await this.dataSource.transaction(async (manager) => {
      await this.releaseSome(manager);
      // Not before: it would let the same ones go.
      await this.wake.notify(manager, RELEASE_PAUSED);
    });
    return waited;
  }

  /** What is held for a pause that is over; a claim may have held a few more after the resumption. Served by `message_held`. */
  async release(): Promise<number> {
    let total = 0;
    for (;;) {
      const { seen, released } = await this.dataSource.transaction(async (manager) =>
        this.releaseSome(manager),
      );
      total += released;
      // Of a batch that others hold, or have let go, they do the rest.
      if (seen < BATCH || released === 0) return total;
    }
  }

  /** As `pause`, and tells the owner; neither without the other, as nobody would look for what nobody was told. */
  async pauseAndTell(funnelKey: string, { reason, facts }: SequenceTrouble): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      if (!(await this.pause(funnelKey, reason, manager))) return;
      await this.alerts.raise(
        {
          key: alertKey(funnelKey),
          severity: 'critical',
          message: `The mails of the sequence ${funnelKey} are paused: ${reason}. They wait; let them go on, on the page Sending, when the cause is mended.`,
          facts: { funnelKey, ...facts },
        },
        manager,
      );
    });
  }

  /** Tells the owner once, however often it is looked at. */
  async warn(funnelKey: string, { reason, facts }: SequenceTrouble): Promise<void> {
    await this.alerts.raise({
      key: alertKey(funnelKey),
      severity: 'warning',
      message: `The sequence ${funnelKey}: ${reason}`,
      facts: { funnelKey, ...facts },
    });
  }

  /** Of one that is not paused: nothing is left to be told. */
  async allIsWell(funnelKey: string): Promise<void> {
    await this.alerts.resolve(alertKey(funnelKey));
  }

  /**
   * Branches that wait for something to happen wait longer by the pause: the mail that is to be clicked goes only now, and that of
   * the else would follow at once. The time of an arm stays, which is a wait without `came_at`. Who was due meanwhile is looked
   * at once more before the new end. By a clock that was ahead when the pause began no wait gets shorter.
   */
  private async lengthenWaits(
    manager: EntityManager,
    funnelKey: string,
    { pausedAt, now }: { pausedAt: Date; now: Date },
  ): Promise<void> {
    await manager.query(
      `update enrollment e set wait_until = w.until, next_at = case when e.next_at = e.wait_until then w.until else e.next_at end
       from (select n.id, n.wait_until + greatest($3::timestamptz - greatest($2::timestamptz, n.came_at), interval '0') as until
         from enrollment n join sequence q on q.id = n.sequence_id
         where q.funnel_key = $1 and n.status = 'active' and n.wait_until > $2 and n.came_at < $3
         order by n.id for update of n) w
       where e.id = w.id`,
      [funnelKey, pausedAt, now],
    );
  }

  private async waiting(manager: EntityManager, funnelKey: string): Promise<number> {
    const [row]: { count: number }[] = await manager.query(
      `select count(*)::int as count from message where state = 'held' and state_reason = $2 and funnel_key = $1`,
      [funnelKey, SEQUENCE_PAUSED],
    );
    return row?.count ?? 0;
  }

  /**
   * The next mails, and the steps behind those that go, which count from now on, as what they promise does. People stand still until the last
   * of them is let go, so none has a step before its mail, also where a crash comes between two batches.
   */
  private async releaseSome(manager: EntityManager): Promise<{ seen: number; released: number }> {
    const now = this.clock.now();
    const held: { id: string; goes: boolean }[] = await manager.query(
      `select m.id, (m.expires_at <= $3 and m.expires_at is distinct from ${PROMISED_UNTIL}) is not true as goes
       from message m where m.state = 'held' and m.state_reason = $1 and not exists (
         select 1 from sequence_pause p where p.funnel_key = m.funnel_key and p.resumed_at is null)
       order by m.id limit $2`,
      [SEQUENCE_PAUSED, BATCH, now],
    );
    const ids = held.map(({ id }) => id);
    await countAnew(
      manager,
      held.flatMap(({ id, goes }) => (goes ? id : [])),
      now,
    );
    await lengthenPromises(manager, ids, now);
    const [, count]: [unknown[], number] = await manager.query(
      `update message m set ${letGo('$1::timestamptz')}
       from (select h.id from message h where h.id = any($3::bigint[]) and h.state = 'held' and h.state_reason = $2
         order by h.id for update of h skip locked) w
       where m.id = w.id`,
      [now, SEQUENCE_PAUSED, ids],
    );
    if (count > 0) await this.wake.notify(manager, SEND_DUE);
    if (held.length < BATCH) await this.endReleased(manager, now);
    return { seen: held.length, released: count };
  }

  /** Pauses whose mails have all been let go are over for their people, too. */
  private async endReleased(manager: EntityManager, now: Date): Promise<void> {
    await manager.query(
      `update sequence_pause p set released_at = $1 where p.resumed_at is not null and p.released_at is null and not exists (
         select 1 from message h where h.state = 'held' and h.state_reason = $2 and h.funnel_key = p.funnel_key)`,
      [now, SEQUENCE_PAUSED],
    );
  }
}
