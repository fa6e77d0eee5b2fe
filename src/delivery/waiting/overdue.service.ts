import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import {
  DEFAULT_OVERDUE,
  isOutage,
  OVERDUE,
  overdueParameters,
  overdueSql,
  type OverdueParameters,
  type OverduePolicy,
  type OverdueSettings,
} from '../message/overdue.js';
import { RelaysService } from '../relays/relays.service.js';
import { putSetting, readSetting } from '../../infra/database/settings.js';
import { HOUR_MS } from '../../values/time-units.js';

const SETTINGS_KEY = 'sending.overdue';
const HEARTBEAT_KEY = 'sending.heartbeat';
export const OVERDUE_ALERT = 'sending:overdue';
const BEAT_EVERY_MS = 60_000;
/** What its worker had in its hands when an outage began comes up again, and is held, within two hours. */
const ALL_HELD_AFTER_MS = 3 * HOUR_MS;
const CACHE_MS = 1_000;

interface Heartbeat {
  /** When a worker last asked for mails to send, with a relay to send them through. */
  aliveAt: string;
  resumedAt: string | null;
}

/**
 * Notices that nothing could be sent for a long time, and says what becomes of the mails that are late by it. The only
 * writer of the settings `sending.overdue` and `sending.heartbeat`.
 */
@Injectable()
export class OverdueService {
  #cache: { parameters: OverdueParameters; readAtMs: number; beatAt: Date } | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly guard: GenerationGuard,
    private readonly alerts: AlertsService,
    private readonly relays: RelaysService,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * To be asked at each claim, and only when mails can really be sent: asking is also the heartbeat whose silence is an
   * outage. Costs a read a second.
   */
  async parameters(): Promise<OverdueParameters> {
    const now = this.clock.now();
    const nowMs = performance.now();
    const cache = this.#cache;
    const beaten = cache !== null && Math.abs(now.getTime() - cache.beatAt.getTime()) < BEAT_EVERY_MS;
    if (cache !== null && beaten && nowMs - cache.readAtMs < CACHE_MS) return cache.parameters;
    const { settings, chosen } = await this.read();
    const resumedAt = beaten ? dateOf((await this.heartbeat())?.resumedAt) : await this.beat(now, settings);
    const parameters = await this.given({ settings, chosen }, resumedAt);
    this.#cache = { parameters, readAtMs: nowMs, beatAt: beaten ? cache.beatAt : now };
    return parameters;
  }

  /** As `parameters` would answer now, for pages: no heartbeat, so an outage stays one. */
  async expected(): Promise<OverdueParameters> {
    const { settings, chosen } = await this.read();
    const now = this.clock.now();
    const { aliveAt, resumedAt } = (await this.heartbeat()) ?? {
      aliveAt: now.toISOString(),
      resumedAt: null,
    };
    const isOver = !isOutage(new Date(aliveAt), now, settings);
    return this.given({ settings, chosen }, isOver ? dateOf(resumedAt) : now);
  }

  /**
   * What becomes of something as a whole whose time was `dueAt` and which nothing has begun since; null: it is not late.
   * To be asked only of what begins within seconds of its time while anything runs at all.
   */
  async policyFor(dueAt: Date): Promise<OverduePolicy | null> {
    const { settings, chosen } = await this.read();
    if (this.config.demo && !chosen) return null;
    return isOutage(dueAt, this.clock.now(), settings) ? settings.policy : null;
  }

  async settings(): Promise<OverdueSettings> {
    return (await this.read()).settings;
  }

  async setSettings(
    settings: OverdueSettings,
    manager: EntityManager = this.dataSource.manager,
  ): Promise<void> {
    await putSetting(manager, SETTINGS_KEY, settings, this.clock.now());
    this.#cache = null;
  }

  /** The settings have just been committed here: read them anew at once. */
  forgetCache(): void {
    this.#cache = null;
  }

  /** A claim has held late mails. What is said of an outage when it ends says more. */
  async tellHeld(): Promise<void> {
    if ((await this.alerts.open()).some(({ key }) => key === OVERDUE_ALERT)) return;
    const { afterHours } = await this.settings();
    await this.alerts.raise({
      key: OVERDUE_ALERT,
      severity: 'warning',
      message: `Marketing mails are more than ${afterHours} hours late, by an outage or as they waited for a DKIM key. They are held until you decide on the page Sending.`,
      facts: { afterHours },
    });
  }

  /** Mails that were held have ended, as with their broadcast: where none is left, and none comes up late, nobody is asked any more. */
  async heldEnded(): Promise<void> {
    const resumedAt = dateOf((await this.heartbeat())?.resumedAt);
    const times = { resumedAt, seenUntil: this.clock.now() };
    await this.closeDecided(this.dataSource.manager, times, await this.settings());
  }

  private async read(): Promise<{ settings: OverdueSettings; chosen: boolean }> {
    const chosen = await readSetting<OverdueSettings>(this.dataSource, SETTINGS_KEY);
    return { settings: chosen ?? DEFAULT_OVERDUE, chosen: chosen !== null };
  }

  private async given(
    { settings, chosen }: { settings: OverdueSettings; chosen: boolean },
    resumedAt: Date | null,
  ): Promise<OverdueParameters> {
    const confirmed = await this.guard.lastConfirmed();
    const now = this.clock.now();
    // Where the owner moves the clock, silence is no outage unless they say so.
    const isMoved = this.config.demo && !chosen;
    return overdueParameters({
      settings,
      resumedAt: isMoved || !isPast(resumedAt, now) ? null : resumedAt,
      now: isMoved ? null : now,
      confirmed: confirmed === null ? null : { at: new Date(confirmed.at), unsent: confirmed.unsent },
    });
  }

  private async heartbeat(): Promise<Heartbeat | null> {
    return readSetting<Heartbeat>(this.dataSource, HEARTBEAT_KEY);
  }

  /**
   * Locks the row: of the workers that come back together, one finds the outage and all learn of it. While relays are
   * merely tried, the silence goes on.
   */
  private async beat(now: Date, settings: OverdueSettings): Promise<Date | null> {
    const works = await this.relays.anyWorks();
    return this.dataSource.transaction(async (manager) => {
      await manager.query(
        `insert into setting (key, value, updated_at) values ($1, $2, $3) on conflict do nothing`,
        [HEARTBEAT_KEY, JSON.stringify({ aliveAt: now, resumedAt: null }), now],
      );
      const rows: { value: Heartbeat }[] = await manager.query(
        'select value from setting where key = $1 for update',
        [HEARTBEAT_KEY],
      );
      const before = rows[0]?.value ?? { aliveAt: now.toISOString(), resumedAt: null };
      // Of a clock that was wrong for a while: kept, the next outage would be noticed by nobody until then.
      const aliveAt = new Date(Math.min(new Date(before.aliveAt).getTime(), now.getTime()));
      const outage = isOutage(aliveAt, now, settings);
      const past = isPast(before.resumedAt, now) ? before.resumedAt : null;
      const resumedAt = outage ? now.toISOString() : past;
      const latest = works ? now : aliveAt;
      await manager.query('update setting set value = $2, updated_at = $3 where key = $1', [
        HEARTBEAT_KEY,
        JSON.stringify({ aliveAt: latest, resumedAt }),
        now,
      ]);
      const lateBefore = new Date(now.getTime() - settings.afterHours * HOUR_MS);
      if (
        outage &&
        settings.policy === 'ask' &&
        !this.config.demo &&
        (await anyLate(manager, lateBefore, now))
      )
        await this.alerts.raise(
          {
            key: OVERDUE_ALERT,
            severity: 'warning',
            message: `Nothing was sent for ${Math.round((now.getTime() - aliveAt.getTime()) / HOUR_MS)} hours. Marketing mails that are more than ${settings.afterHours} hours late are held until you decide on the page Sending.`,
            facts: { silentSince: aliveAt, resumedAt: now },
          },
          manager,
        );
      else if (!outage) {
        const seenUntil = new Date(now.getTime() - ALL_HELD_AFTER_MS);
        await this.closeDecided(manager, { resumedAt: dateOf(resumedAt), seenUntil }, settings);
      }
      return dateOf(resumedAt);
    });
  }

  /** The process of the owner's decision may have ended before the alert did: nothing is held for it, and nothing will be. */
  private async closeDecided(
    manager: EntityManager,
    { resumedAt, seenUntil }: { resumedAt: Date | null; seenUntil: Date },
    { afterHours }: OverdueSettings,
  ): Promise<void> {
    const open: unknown[] = await manager.query(
      `select 1 from alert where key = $1 and resolved_at is null and last_seen_at <= $3
         and (select true from message where state = 'held' and state_reason = $2 limit 1) is null`,
      [OVERDUE_ALERT, OVERDUE, seenUntil],
    );
    if (open.length === 0) return;
    const isLate =
      resumedAt !== null &&
      (await anyLate(manager, new Date(resumedAt.getTime() - afterHours * HOUR_MS), resumedAt));
    if (!isLate) await this.alerts.resolve(OVERDUE_ALERT, manager);
  }
}

function isPast(at: string | Date | null, now: Date): boolean {
  return at !== null && new Date(at) <= now;
}

function dateOf(at: string | null | undefined): Date | null {
  return at == null ? null : new Date(at);
}

/** A quiet installation is silent without anything being late. Reads what is ready until it finds one. */
async function anyLate(manager: EntityManager, before: Date, now: Date): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `select 1 from message m where m.state = 'ready'
       and ${overdueSql('m', { overdueBefore: '$1', dueBy: '$2', action: `'held'` })} limit 1`,
    [before, now],
  );
  return rows.length > 0;
}
