import { hostname } from 'node:os';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { AlertsService, type Alert } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { HOUR_MS } from '../values/time-units.js';

const SAY_EVERY_MS = HOUR_MS;
/** Whoever's folder it is about says so every hour. */
const OVER_AFTER_MS = 2 * HOUR_MS;

/**
 * Open while readers who left by a link cannot be taken off the list. Its `holdUntil`: when the mails of others go on; null when they do.
 * Its `folder`: where they stand, behind the name of the machine.
 */
export const LEAVINGS_WAIT = 'leavings:waiting';

type Key = typeof LEAVINGS_WAIT | 'leavings:failed';

/**
 * What the owner is told of the leavings in this process's folder. What cannot be written now is written later. Machines have
 * folders of their own, and each knows of its own only: an alert ends by whoever has raised it, by who finds that very folder
 * empty, as the next process there, or when nobody says any more that it is so.
 */
@Injectable()
export class LeavingsAlerts {
  readonly #log = new Logger('Leavings');
  readonly #said = new Map<Key, { message: string | null; facts: string; at: number }>();
  #saidUnwritten = false;

  constructor(
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Null: there is nothing to tell of that folder. Asks the database nothing while what was said last is true still. Never rejects. */
  async say(key: Key, folder: string, message: string | null, more: Alert['facts'] = {}): Promise<void> {
    const facts = { ...more, folder: here(folder) };
    const now = this.clock.now().getTime();
    const last = this.#said.get(key);
    const told = message === null ? '' : JSON.stringify(facts);
    if (last?.message === message && last.facts === told && now - last.at < SAY_EVERY_MS) return;
    try {
      if (message !== null) await this.alerts.raise({ key, severity: 'critical', message, facts });
      else if (typeof last?.message === 'string') await this.alerts.resolve(key);
      else await this.closeOver(key, facts.folder, now - OVER_AFTER_MS);
      this.#said.set(key, { message, facts: told, at: now });
      this.#saidUnwritten = false;
    } catch (error) {
      if (!this.#saidUnwritten) this.#log.error(`The owner cannot be told yet: ${String(error)}`);
      this.#saidUnwritten = true;
    }
  }

  /** Until when the mails of others wait, as an earlier process has told of that folder; null where none has, or it is over. */
  async holdTold(folder: string): Promise<Date | null> {
    const open = (await this.alerts.open()).find(({ key }) => key === LEAVINGS_WAIT);
    if (open?.facts['folder'] !== here(folder)) return null;
    const until = open.facts['holdUntil'];
    return typeof until === 'string' ? new Date(until) : open.lastSeenAt;
  }

  private async closeOver(key: Key, folder: string, beforeMs: number): Promise<void> {
    for (const open of await this.alerts.open())
      if (open.key === key && (open.facts['folder'] === folder || open.lastSeenAt.getTime() < beforeMs))
        await this.alerts.resolve(key);
  }
}

function here(folder: string): string {
  return `${hostname()}:${folder}`;
}
