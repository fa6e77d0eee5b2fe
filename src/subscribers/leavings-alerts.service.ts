import { Inject, Injectable, Logger } from '@nestjs/common';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { HOUR_MS } from '../values/time-units.js';

const SAY_EVERY_MS = HOUR_MS;
/** Whoever's folder it is about says so every hour. */
const OVER_AFTER_MS = 2 * HOUR_MS;

/** Open while readers who left by a link cannot be taken off the list, as the database knows them. */
export const LEAVINGS_WAIT = 'leavings:waiting';
/** Open while a process that keeps leavings says nothing any more. */
export const LEAVINGS_SILENT = 'leavings:silent';
/** Open while somebody's leaving lies in a folder who is unknown to the database. */
export const LEAVINGS_FAILED = 'leavings:failed';

/** Open while sign-ups that came while the database took none are not in it, though it takes them. */
export const SIGNUPS_WAIT = 'signups:waiting';
/** Open while the file of a sign-up lies in a folder that nobody can read. */
export const SIGNUPS_FAILED = 'signups:failed';

const WARNINGS: ReadonlySet<string> = new Set([SIGNUPS_WAIT, SIGNUPS_FAILED]);

type Key =
  | typeof LEAVINGS_WAIT
  | typeof LEAVINGS_SILENT
  | typeof LEAVINGS_FAILED
  | typeof SIGNUPS_WAIT
  | typeof SIGNUPS_FAILED;

/**
 * What the owner is told of leavings, and of sign-ups that are kept like them. What cannot be written now is written later. What is
 * about a folder each process knows of its own only: each folder has an alert of its own, which ends when a process finds that very
 * folder in order, or when nobody says any more that it is so.
 */
@Injectable()
export class LeavingsAlerts {
  readonly #log = new Logger('Leavings');
  readonly #said = new Map<Key, { message: string | null; folder: string; at: number }>();
  #saidUnwritten = false;

  constructor(
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Null: there is nothing to tell. `folder`: the name of the one it is about, as it lies in there; left out where all processes see the
   * same. Asks the database nothing while what was said last is true still. Never rejects.
   */
  async say(key: Key, message: string | null, folder = ''): Promise<void> {
    const now = this.clock.now().getTime();
    const last = this.#said.get(key);
    if (last?.message === message && last.folder === folder && now - last.at < SAY_EVERY_MS) return;
    try {
      if (message !== null)
        await this.alerts.raise({
          key: keyOf(key, folder),
          severity: WARNINGS.has(key) ? 'warning' : 'critical',
          message,
          facts: folder === '' ? {} : { folder },
        });
      else {
        await this.alerts.resolve(keyOf(key, folder));
        if (folder !== '') await this.closeSilent(key, now - OVER_AFTER_MS);
      }
      this.#said.set(key, { message, folder, at: now });
      this.#saidUnwritten = false;
    } catch (error) {
      if (!this.#saidUnwritten) this.#log.error(`The owner cannot be told yet: ${String(error)}`);
      this.#saidUnwritten = true;
    }
  }

  private async closeSilent(key: Key, beforeMs: number): Promise<void> {
    for (const open of await this.alerts.open())
      // Alone by the key: of an earlier build.
      if ((open.key === key || open.key.startsWith(`${key}:`)) && open.lastSeenAt.getTime() < beforeMs)
        await this.alerts.resolve(open.key);
  }
}

function keyOf(key: Key, folder: string): string {
  return folder === '' ? key : `${key}:${folder}`;
}
