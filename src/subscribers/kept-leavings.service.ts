import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { z } from 'zod';
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
  #takingUp: Promise<void> | null = null;
  #complained = false;

  constructor(
    private readonly leave: LeaveService,
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
    return { kind: 'kept' };
  }

  /** All that lie there, as far as the database takes them; never rejects. */
  async takeUp(): Promise<void> {
    this.#takingUp ??= this.takeUpAll().finally(() => {
      this.#takingUp = null;
    });
    await this.#takingUp;
  }

  private async takeUpAll(): Promise<void> {
    try {
      const names = await readdir(this.#folder).catch(noneWhenMissing);
      for (const name of names) if (NAME.test(name)) await this.takeUpOne(join(this.#folder, name));
      this.#complained = false;
    } catch (error) {
      // Once for each time that it cannot be done, not each second.
      if (!this.#complained) this.#log.warn(`Leavings wait on disk for the database: ${wordsOf(error)}`);
      this.#complained = true;
    }
  }

  /** Two processes may do the same one: leaving twice is leaving once. */
  private async takeUpOne(path: string): Promise<void> {
    const text = await readFile(path, 'utf8').catch(emptyWhenMissing);
    if (text === '') return;
    const kept = readKept(text);
    if (kept === null) {
      this.#log.error(`${path} holds no leaving; it is kept as .bad`);
      return rename(path, `${path}.bad`);
    }
    await this.leave.leaveLate(kept.token, kept.via, kept.at);
    await unlink(path).catch(emptyWhenMissing);
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

function noneWhenMissing(error: unknown): string[] {
  if (isMissing(error)) return [];
  throw error;
}

/** Another process has taken it up. */
function emptyWhenMissing(error: unknown): string {
  if (isMissing(error)) return '';
  throw error;
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
