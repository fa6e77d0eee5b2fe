import { Inject, Injectable } from '@nestjs/common';
import { LiquidError } from 'liquidjs';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import type { ClaimedMessage } from './message.js';

const PREFIX = 'unmade:';
/** There may be a million of them in a minute. */
const AGAIN_AFTER_MS = 60_000;
/** A mail that cannot be made is tried for a day: two days later none is left. */
const OVER_AFTER_MS = 2 * 86_400_000;

type Unmade = Pick<ClaimedMessage, 'attempt' | 'broadcastId' | 'kind' | 'funnelKey' | 'stepKey'>;

/**
 * Mails that come to nothing before they reach a relay, because the template cannot be filled in with what is known of
 * their reader. The preflight tries one reader; what a value of another one breaks is seen here first, and the owner
 * would else find those mails among the ones that were too late.
 */
@Injectable()
export class UnmadeMails {
  readonly #toldAtMs = new Map<string, number>();

  constructor(
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Raises the alert `unmade:…` of the mail's broadcast or step when it is the template's doing; else nothing. */
  async failed(message: Unmade, error: unknown): Promise<void> {
    if (!(error instanceof DomainError) && !LiquidError.is(error)) return;
    // The limit of time may be the machine's load, once.
    if (!(error instanceof DomainError) && message.attempt < 2) return;
    const [key, name] = nameOf(message);
    const nowMs = this.clock.now().getTime();
    if (nowMs - (this.#toldAtMs.get(key) ?? -Infinity) < AGAIN_AFTER_MS) return;
    this.#toldAtMs.set(key, nowMs);
    await this.alerts.raise({
      key,
      severity: 'warning',
      message: `${name} cannot be made for some readers: ${error.message.slice(0, 300)}`,
      facts: { broadcastId: message.broadcastId, funnel: message.funnelKey, step: message.stepKey },
    });
  }

  /** Alerts of which nothing was heard any more. */
  async closeOld(): Promise<void> {
    const before = this.clock.now().getTime() - OVER_AFTER_MS;
    for (const { key, lastSeenAt } of await this.alerts.open())
      if (key.startsWith(PREFIX) && lastSeenAt.getTime() < before) await this.alerts.resolve(key);
  }
}

function nameOf({ broadcastId, kind, funnelKey, stepKey }: Unmade): [key: string, name: string] {
  if (broadcastId !== null)
    return [`${PREFIX}broadcast:${broadcastId}`, `A mail of broadcast ${broadcastId}`];
  const of = stepKey ?? kind;
  return [`${PREFIX}${funnelKey}/${of}`, `The mail "${of}" of ${funnelKey}`];
}
