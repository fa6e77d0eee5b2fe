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
const MOST_CAUSES = 1_000;
const HELD = '. Their mails are held: mend it, or what they have, and send them on the page Sending.';

type Unmade = Pick<
  ClaimedMessage,
  'id' | 'subscriberId' | 'attempt' | 'broadcastId' | 'kind' | 'funnelKey' | 'stepKey'
>;

interface HeldOf {
  broadcastId: string | null;
  funnel: string | null;
  step: string | null;
}

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
      const why = `${UNMADE}: ${cause}`;
      return await pauseBroadcast(this.dataSource.manager, broadcastId, why);
    } catch (error) {
      // The next mail that breaks pauses it.
      broken.delete(id);
      throw error;
    }
  }

  /**
   * Whatever is paused for its mail stands in an alert: the database may have refused it, or the process ended before it was
   * written. Of the broadcasts that stand still, by their rows alone.
   */
  async tellOfPaused(): Promise<void> {
    const untold: { id: string; reason: string }[] = await this.dataSource.query(
      `select id, state_reason as reason from broadcast b where state = 'paused' and state_reason like $1::text || '%'
         and not exists (select 1 from alert where key = $2::text || b.id and severity = 'critical')`,
      [UNMADE, OF_BROADCAST],
    );
    const held = untold.length === 0 ? [] : await this.held();
    for (const { id, reason } of untold) {
      const isHeld = held.some(({ broadcastId }) => broadcastId === id);
      await this.alerts.raise({
        ...{ key: `${OF_BROADCAST}${id}`, severity: 'critical', facts: { broadcastId: id, held: isHeld } },
        message: `Broadcast ${id} was paused: ${reason}${isHeld ? HELD : ''}`,
      });
    }
  }

  /** Alerts of which nothing was heard any more. */
  async closeOld(): Promise<void> {
    const before = this.clock.now().getTime() - OVER_AFTER_MS;
    const old = (await this.alerts.open()).filter(
      ({ key, lastSeenAt }) => key.startsWith(PREFIX) && lastSeenAt.getTime() < before,
    );
    const held = old.some(({ facts }) => facts['held'] === true) ? await this.held() : [];
    for (const { key, facts } of old)
      if (facts['held'] !== true || !held.some((mail) => isOf(facts, mail))) await this.alerts.resolve(key);
  }

  /** Of which broadcasts and steps the owner has yet to decide about mails that are unfit. Served by `message_held`. */
  private async held(): Promise<HeldOf[]> {
    return this.dataSource.query(
      `select distinct broadcast_id as "broadcastId", funnel_key as funnel, step_key as step
       from message where state = 'held' and state_reason = any($1::text[])`,
      [UNFIT_REASONS],
    );
  }
}

/** Whether an alert with these facts tells of the mail. */
function isOf(facts: Alert['facts'], { broadcastId, funnel, step }: HeldOf): boolean {
  return broadcastId === null
    ? facts['broadcastId'] === null && facts['funnel'] === funnel && facts['step'] === step
    : facts['broadcastId'] === broadcastId;
}

function nameOf({ broadcastId, kind, funnelKey, stepKey }: Unmade): [key: string, name: string] {
  if (broadcastId !== null) return [`${OF_BROADCAST}${broadcastId}`, `A mail of broadcast ${broadcastId}`];
  const of = stepKey ?? kind;
  return [`${PREFIX}${funnelKey}/${of}`, `The mail "${of}" of ${funnelKey}`];
}
