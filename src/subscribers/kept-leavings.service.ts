import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { writeDurably } from '../infra/files/durable-file.js';
import { DomainError } from '../values/domain-error.js';
import { LeaveService, type Leaving } from './leave.service.js';

const LOOK_MS = 1_000;
const NAME = /^[0-9a-f]{64}\.json$/;
const keptSchema = z.object({ token: z.string(), via: z.enum(['one_click', 'page']), at: z.coerce.date() });

type KeptVia = z.output<typeof keptSchema>['via'];

/**
 * Leavings by link that came while the database was away. The mailbox provider has told the person by then that they are
 * off the list, and asks no second time: each stands in a file of its own in `DATA_DIR/leavings`, on disk before the answer
 * goes, until the database has it. Any process on that folder takes them up, at its start, within a second of the
 * database's return, and before it sends again.
 */
@Injectable()
export class KeptLeavings implements OnApplicationShutdown {
  readonly #log = new Logger('Leavings');
  readonly #folder: string;
  #timer: NodeJS.Timeout | undefined;
  #takingUp: Promise<boolean> | null = null;
  #saidKept = false;

  constructor(
    private readonly leave: LeaveService,
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#folder = join(config.dataDir, 'leavings');
  }

  /** Once, by a process that serves requests or sends, before it does either. */
  async start(): Promise<void> {
    await this.takeUp();
    this.#timer = setInterval(() => void this.takeUp(), LOOK_MS);
    this.#timer.unref();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    await this.#takingUp;
  }

  /** Only links that we wrote are kept, each once. Throws `LEAVING_UNAVAILABLE` when the disk does not take it. */
  async keep(token: string, via: KeptVia): Promise<Leaving> {
    if (!this.leave.isOurs(token)) return { kind: 'not_ours' };
    const path = join(this.#folder, `${createHash('sha256').update(token).digest('hex')}.json`);
    const text = JSON.stringify({ token, via, at: this.clock.now() });
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeDurably(path, text, `${path}.${randomUUID()}`);
    } catch (error) {
      this.#log.error(`A leaving cannot be kept on disk: ${wordsOf(error)}`);
      throw new DomainError('LEAVING_UNAVAILABLE', 'This cannot be noted right now; try again in a minute', {
        retryAfterSeconds: 60,
      });
    }
    // Once for each outage.
    if (!this.#saidKept) this.#log.warn('The database is away: who leaves by a link is kept on disk');
    this.#saidKept = true;
    return { kind: 'kept' };
  }

  /** All that lie there; false when some must wait, as the database is away. Never rejects. */
  async takeUp(): Promise<boolean> {
    this.#takingUp ??= this.takeUpAll().finally(() => {
      this.#takingUp = null;
    });
    return this.#takingUp;
  }

  private async takeUpAll(): Promise<boolean> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names) {
      if (!NAME.test(name)) continue;
      const path = join(this.#folder, name);
      if (await this.isTakenUp(path)) continue;
      if (!(await this.answers())) return false;
      // Anything may happen once, such as a deadlock. One that cannot be done must not keep those behind it waiting.
      if (!(await this.isTakenUp(path))) await this.putAside(path);
    }
    this.#saidKept = false;
    return true;
  }

  /** Two processes may do the same one: leaving twice is leaving once. */
  private async isTakenUp(path: string): Promise<boolean> {
    try {
      const kept = readKept(await readFile(path, 'utf8'));
      if (kept === null) return false;
      // A restored backup may not know the mail: then nobody was taken off.
      if ((await this.leave.leaveLate(kept.token, kept.via, kept.at)).kind !== 'left') return false;
      await unlink(path);
      return true;
    } catch (error) {
      return isMissing(error);
    }
  }

  private async answers(): Promise<boolean> {
    return this.dataSource.query('select 1').then(
      () => true,
      () => false,
    );
  }

  private async putAside(path: string): Promise<void> {
    this.#log.error(`${path} could not be taken up; it is kept as .failed`);
    await rename(path, `${path}.failed`).catch((error: unknown) => {
      if (!isMissing(error)) this.#log.error(`${path} cannot be renamed: ${wordsOf(error)}`);
    });
    const message =
      'Somebody left by a link while the database was away, and cannot be taken off the list, as after a restored backup ' +
      `that does not know their mail. What is known of it stands in ${this.#folder}. Take off whoever writes to you.`;
    await this.alerts
      .raise({ key: 'leavings:failed', severity: 'critical', message })
      .catch((error: unknown) => this.#log.error(`The owner cannot be told: ${wordsOf(error)}`));
  }
}

function readKept(text: string): z.output<typeof keptSchema> | null {
  try {
    return keptSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
