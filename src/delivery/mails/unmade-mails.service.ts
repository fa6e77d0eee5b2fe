import { Inject, Injectable, Logger } from '@nestjs/common';
import { LiquidError } from 'liquidjs';
import { DataSource } from 'typeorm';
import { AlertsService, type Alert } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { DomainError } from '../../values/domain-error.js';
import { pauseBroadcast } from '../guards/broadcast-pause.queries.js';
import type { ClaimedMessage } from '../message/message.js';
import { UNFIT_REASONS } from '../message/state-reasons.js';
import { UnfitMail } from './unfit-mail.js';

const PREFIX = 'unmade:';
const OF_BROADCAST = `${PREFIX}broadcast:`;
/** What a broadcast is paused for begins with this. */
const UNMADE = 'its mail cannot be made for some readers';
/** There may be a million of them in a minute. */
const AGAIN_AFTER_MS = 60_000;
const AFTER_FAILURE_MS = 5_000;
/** A mail that cannot be made is tried for a day: two days later none is left but those that are held. */
const OVER_AFTER_MS = 2 * 86_400_000;
/** One reader's odd value is no reason to stop all others; this many with the same trouble are. */
const PAUSE_AFTER = 5;
const LOOKS_EVERY_MS = 600_000;
const MOST_CAUSES = 1_000;
const HELD = '. Their mails are held: mend it, or what they have, and send them on the page Sending.';

type Unmade = Pick<
  ClaimedMessage,
  'id' | 'subscriberId' | 'attempt' | 'broadcastId' | 'kind' | 'funnelKey' | 'stepKey'
>;

/** In SQL, of a broadcast. `$1`: {@link UNMADE}. */
const IS_PAUSED = `state = 'paused' and starts_with(state_reason, $1::text)`;

/**
 * Mails that come to nothing before they reach a relay, because the template cannot be filled in with what is known of
 * their reader. A broadcast is tried with its readers' values before it starts, as far as that goes in a short time; what
 * changes later, lies beyond, or comes from another step is seen here first, and the owner would else find those mails
 * among the ones that were too late.
 */
@Injectable()
export class UnmadeMails {
  readonly #logger = new Logger(UnmadeMails.name);
  readonly #againAtMs = new Map<string, number>();
  #looksAtMs = -Infinity;
  /** Warnings under way: one that ends later than what is worse would take its place. */
  readonly #telling = new Map<string, Promise<void>>();
  /** By broadcast and cause: the first mails that it broke. */
  readonly #broken = new Map<string, Set<string>>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Raises the alert `unmade:…` of the mail's broadcast or step when it is the template's doing; else nothing. Pauses a
   * broadcast whose template breaks on several readers, once for each cause: whose owner goes on has seen it. Never throws:
   * what becomes of the mail does not hang on whether its owner could be told.
   */
  async failed(message: Unmade, error: unknown): Promise<void> {
    if (!(error instanceof DomainError) && !LiquidError.is(error)) return;
    // The limit of time may be the machine's load, once.
    if (!(error instanceof DomainError) && message.attempt < 2) return;
    try {
      await this.tell(message, error);
    } catch (failure) {
      const [key] = nameOf(message);
      this.#againAtMs.set(key, this.clock.now().getTime() + AFTER_FAILURE_MS);
      this.#logger.warn(`the alert ${key} could not be written: ${String(failure)}`);
    }
  }

  private async tell(message: Unmade, error: Error): Promise<void> {
    const [key, name] = nameOf(message);
    const cause = error.message.slice(0, 300);
    const held = error instanceof UnfitMail;
    const what = held ? HELD : '';
    const isPaused = await this.pause(message, cause);
    const nowMs = this.clock.now().getTime();
    if (isPaused) {
      const { broadcastId, subscriberId } = message;
      this.#againAtMs.set(key, nowMs + AGAIN_AFTER_MS);
      await this.#telling.get(key)?.catch(() => undefined);
      await this.alerts.raise({
        ...{ key, severity: 'critical', facts: { broadcastId, subscriberId, held } },
        message: `Broadcast ${broadcastId} was paused: ${UNMADE}, subscriber ${subscriberId} among them: ${cause}${what}`,
      });
      return;
    }
    if (nowMs < (this.#againAtMs.get(key) ?? -Infinity)) return;
    this.#againAtMs.set(key, nowMs + AGAIN_AFTER_MS);
    const telling = this.alerts.raise({
      key,
      severity: 'warning',
      message: `${name} cannot be made for some readers: ${cause}${what}`,
      facts: { broadcastId: message.broadcastId, funnel: message.funnelKey, step: message.stepKey, held },
    });
    this.#telling.set(key, telling);
    await telling.finally(() => this.#telling.delete(key));
  }

  private async pause({ id, broadcastId }: Unmade, cause: string): Promise<boolean> {
    if (broadcastId === null) return false;
    const key = `${broadcastId} ${cause}`;
    if (this.#broken.size > MOST_CAUSES) this.#broken.clear();
    const broken = this.#broken.get(key) ?? new Set();
    this.#broken.set(key, broken);
    if (broken.has(id) || broken.size >= PAUSE_AFTER) return false;
    broken.add(id);
    if (broken.size < PAUSE_AFTER) return false;
    try {
      const why = { reason: `${UNMADE}: ${cause}`, now: this.clock.now() };
      return await pauseBroadcast(this.dataSource.manager, broadcastId, why);
    } catch (error) {
      // The next mail that breaks pauses it.
      broken.delete(id);
      throw error;
    }
  }

  /**
   * Whatever is paused for its mail stands in an alert: the database may have refused it, or the process ended before it was
   * written. One of before the owner let it go on is of an earlier pause. Of the broadcasts that stand still, by their rows alone.
   */
  async tellOfPaused(): Promise<void> {
    const untold: { id: string; reason: string }[] = await this.dataSource.query(
      `select id, state_reason as reason from broadcast b where ${IS_PAUSED}
         and not exists (select 1 from alert a where a.key = $2::text || b.id and a.severity = 'critical' and a.resolved_at is null
           and (a.last_seen_at > b.let_go_at) is not false)`,
      [UNMADE, OF_BROADCAST],
    );
    for (const { id, reason } of untold) {
      const isHeld = await this.anyHeld({ broadcastId: id });
      await this.alerts.raise({
        ...{ key: `${OF_BROADCAST}${id}`, severity: 'critical', facts: { broadcastId: id, held: isHeld } },
        message: `Broadcast ${id} was paused: ${reason}${isHeld ? HELD : ''}`,
      });
    }
  }

  /** Alerts of which nothing was heard any more. What is held may be a million mails: it is looked at once in ten minutes. */
  async closeOld(): Promise<void> {
    const nowMs = this.clock.now().getTime();
    const old = (await this.alerts.open()).filter(
      ({ key, lastSeenAt }) => key.startsWith(PREFIX) && lastSeenAt.getTime() < nowMs - OVER_AFTER_MS,
    );
    if (old.length === 0) return;
    const paused: { key: string }[] = await this.dataSource.query(
      `select $2::text || id as key from broadcast where ${IS_PAUSED}`,
      [UNMADE, OF_BROADCAST],
    );
    const stands = new Set(paused.map(({ key }) => key));
    const looks = nowMs >= this.#looksAtMs;
    if (looks) this.#looksAtMs = nowMs + LOOKS_EVERY_MS;
    for (const { key, facts } of old) {
      if (stands.has(key)) continue;
      if (facts['held'] === true && (!looks || (await this.anyHeld(facts)))) continue;
      await this.alerts.resolve(key);
    }
  }

  /**
   * Whether the owner has yet to decide about an unfit mail of the broadcast or step that such an alert tells of. Stops at the
   * first in `message_held`.
   */
  private async anyHeld({
    broadcastId = null,
    funnel = null,
    step = null,
  }: Alert['facts']): Promise<boolean> {
    const [row]: { held: boolean }[] = await this.dataSource.query(
      `select exists (select 1 from (
           select broadcast_id, funnel_key, step_key from message where state = 'held' and state_reason = any($1::text[]) offset 0) m
         where case when $2::bigint is null then m.broadcast_id is null and m.funnel_key is not distinct from $3 and m.step_key is not distinct from $4
           else m.broadcast_id = $2 end) as held`,
      [UNFIT_REASONS, broadcastId, funnel, step],
    );
    return row?.held === true;
  }
}

function nameOf({ broadcastId, kind, funnelKey, stepKey }: Unmade): [key: string, name: string] {
  if (broadcastId !== null) return [`${OF_BROADCAST}${broadcastId}`, `A mail of broadcast ${broadcastId}`];
  const of = stepKey ?? kind;
  return [`${PREFIX}${funnelKey}/${of}`, `The mail "${of}" of ${funnelKey}`];
}
