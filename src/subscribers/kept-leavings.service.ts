import { createHash } from 'node:crypto';
import { stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { z } from 'zod';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { KeptFiles } from '../infra/files/kept-files.js';
import { DomainError } from '../values/domain-error.js';
import { DAY_MS } from '../values/time-units.js';
import { Keepers, WORD_MS } from './keepers.service.js';
import { LeaveService, type Leaving } from './leave.service.js';
import { LEAVINGS_FAILED, LeavingsAlerts } from './leavings-alerts.service.js';
import { WaitingLeavings } from './waiting-leavings.service.js';

const LOOK_MS = 1_000;
const LOOK_WHILE_KEPT_MS = 50;
/** So long the owner is told of one that cannot be done. */
const TOLD_MS = 7 * DAY_MS;
/** `again` is of earlier builds: it was put aside, and the owner told, before. */
const NAME = /^[0-9a-f]{64}(?:\.again)?\.json$/;
const FAILED = /^[0-9a-f]{64}\.json\.failed$/;
const keptSchema = z.object({
  token: z.string(),
  via: z.enum(['one_click', 'page', 'preferences']),
  at: z.coerce.date(),
});

type Kept = z.output<typeof keptSchema>;
type KeptVia = Kept['via'];

/**
 * Leavings by link that the database did not take when they came, as while it is away. The mailbox provider is told that the
 * person is off the list, and asks no second time: each stands in a file of its own in `DATA_DIR/leavings`, on disk before the
 * answer goes, until the database knows of it. Any process on that folder hands them in, at its start, within a second of the
 * database's return, and before it sends again. Put aside as `.failed` are those alone that no database can take: a broken
 * file, a link of another key, a mail that this one does not know. What the database does with them: see `WaitingLeavings`. How all
 * workers know that it has them: see `Keepers`.
 */
@Injectable()
export class KeptLeavings implements OnApplicationShutdown {
  readonly #log = new Logger('Leavings');
  readonly #files: KeptFiles;
  #timer: NodeJS.Timeout | undefined;
  #takingUp: Promise<boolean> | null = null;
  #saidKept = false;
  #isHindered = false;
  /** Once it has read its folder it speaks for those before it there, and not without reading it. */
  #hasRead = false;
  /** Whether this process gives its word, and is waited for. */
  #isKeeper = false;
  /** Kept by this process, and not known to the database yet; their folder may be gone, as a disk that is not mounted any more. */
  readonly #kept = new Map<string, Kept>();

  constructor(
    private readonly leave: LeaveService,
    private readonly waiting: WaitingLeavings,
    private readonly keepers: Keepers,
    private readonly said: LeavingsAlerts,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#files = new KeptFiles(join(config.dataDir, 'leavings'));
  }

  /** Once, by a process that serves requests or sends, before it does either. Rejects when nobody could wait for its word. */
  async start(): Promise<void> {
    // Whom they do not keep for is told nothing that could be broken.
    this.#isKeeper = this.config.roles.includes('web') && this.config.dataDirKept;
    await this.takeUp({ isStart: true });
    if (this.#isKeeper) await this.keepers.appear(this.#folder);
    this.#timer = setInterval(() => void this.takeUp(), LOOK_MS);
    this.#timer.unref();
  }

  get #folder(): string {
    return this.#files.folder;
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    await this.#takingUp;
    if (!this.#isKeeper) return;
    this.#isKeeper = false;
    // Also where the folder cannot be read: what others keep there they answer for themselves.
    await this.handIn()
      .then(async () => this.keepers.end())
      .catch(() => undefined);
  }

  /**
   * Only links that we wrote are kept, each once. Resolves when no mail of a list can go any more before the database knows of it.
   * Throws `LEAVING_UNAVAILABLE` when the disk does not take it, and when the folder may be gone at the next start: it is handed in
   * if it is not, and nobody is told so.
   */
  async keep(token: string, via: KeptVia): Promise<Leaving> {
    if (this.leave.read(token) === null) return { kind: 'not_ours' };
    const name = `${createHash('sha256').update(token).digest('hex')}.json`;
    const kept = { token, via, at: this.clock.now() };
    try {
      await this.#files.put(name, JSON.stringify(kept));
      this.#kept.set(name, kept);
    } catch (error) {
      this.#log.error(`A leaving cannot be kept on disk: ${wordsOf(error)}`);
      throw unavailable();
    }
    // Once for each outage.
    if (!this.#saidKept)
      this.#log.warn('The database takes no leavings: who leaves by a link is kept on disk');
    this.#saidKept = true;
    if (!this.config.dataDirKept) throw unavailable();
    // Each word that a look before this one stands behind has run out by then, also that of another process on the folder.
    const untilMs = performance.now() + WORD_MS;
    while (this.#isKeeper && this.#kept.has(name) && performance.now() < untilMs)
      await sleep(LOOK_WHILE_KEPT_MS);
    return { kind: 'kept' };
  }

  /**
   * Hands in all that lie there, and has those taken off who wait; false while some do still. At a start also what was put aside: a
   * backup may have been replaced by one that knows the mail. Never rejects.
   */
  async takeUp({ isStart = false } = {}): Promise<boolean> {
    this.#takingUp ??= this.look(isStart).finally(() => {
      this.#takingUp = null;
    });
    return this.#takingUp;
  }

  private async look(isStart: boolean): Promise<boolean> {
    try {
      const at = await this.keepers.now();
      const folder = await this.handIn(isStart);
      if (this.#isKeeper && (folder !== null || !this.#hasRead))
        await this.keepers.say(folder, this.#folder, at);
      if (!this.#isKeeper && isStart && folder !== null) await this.keepers.succeed(folder, at);
      if (folder !== null) [this.#hasRead, this.#isHindered] = [true, false];
    } catch (error) {
      this.hindered(error);
    }
    const areOff = await this.waiting.takeOff().catch(() => false);
    return areOff && !this.#isHindered;
  }

  private hindered(error: unknown): void {
    if (!this.#isHindered) this.#log.warn(`Leavings on disk have to wait: ${wordsOf(error)}`);
    this.#isHindered = true;
  }

  /**
   * Returns the folder's name; null where it cannot be read, as on a disk that takes no writes. Rejects unless the database knows of all
   * that this process has kept.
   */
  private async handIn(isStart = false): Promise<string | null> {
    const found = new Map<string, Kept | null>(this.#kept);
    const problems: unknown[] = [];
    const names = await this.names().catch((error: unknown) => {
      problems.push(error);
      return [];
    });
    for (const name of names.filter((one) => NAME.test(one) || (isStart && FAILED.test(one))))
      try {
        const text = await this.#files.read(name);
        if (text !== null) found.set(name, readKept(text));
      } catch (error) {
        problems.push(error);
      }
    await this.note(found);
    if (problems.length > 0) {
      this.hindered(problems[0]);
      return null;
    }
    this.#saidKept = false;
    const folder = this.#files.ownName(names) ?? this.#folder;
    await this.tellOfFailed(folder);
    return folder;
  }

  /** Where one is to be waited for, the folder is there then and has a name. */
  private async names(): Promise<string[]> {
    const names = await this.#files.names();
    if (!this.#isKeeper || this.#files.ownName(names) !== null) return names;
    await this.#files.giveName();
    return this.#files.names();
  }

  /** Two processes may hand in the same one: leaving twice is leaving once. Those of whom the database knows nothing are put aside. */
  private async note(found: ReadonlyMap<string, Kept | null>): Promise<void> {
    const leavings = [...found].flatMap(([name, kept]) => {
      const ticket = kept === null ? null : this.leave.read(kept.token);
      return kept === null || ticket === null ? [] : [{ name, ...ticket, via: kept.via, at: kept.at }];
    });
    const isKnown = await this.waiting.note(leavings);
    const known = new Set(leavings.filter((_, at) => isKnown[at]).map(({ name }) => name));
    for (const name of found.keys()) {
      this.#kept.delete(name);
      if (known.has(name)) await this.#files.remove(name);
      else if (!FAILED.test(name)) await this.putAside(name);
    }
  }

  private async putAside(name: string): Promise<void> {
    const path = join(this.#folder, name);
    this.#log.error(`${path} cannot be taken up; it is kept as .failed`);
    // The owner is told of it for a week from now; where the time cannot be set, from when it was kept.
    const now = this.clock.now();
    if (!name.endsWith('.again.json')) await utimes(path, now, now).catch(() => undefined);
    await this.#files.rename(name, name.replace(/(?:\.again)?\.json$/, '.json.failed'));
  }

  private async tellOfFailed(folder: string): Promise<void> {
    const names = await this.#files.names();
    const times = await Promise.all(
      names
        .filter((name) => FAILED.test(name))
        .map(async (name) => stat(join(this.#folder, name)).catch(() => null)),
    );
    const since = this.clock.now().getTime() - TOLD_MS;
    const isTold = times.some((time) => time !== null && time.mtimeMs > since);
    await this.said.say(LEAVINGS_FAILED, isTold ? cannotBeDone(this.#folder) : null, folder);
  }
}

function unavailable(): DomainError {
  return new DomainError('LEAVING_UNAVAILABLE', 'This cannot be noted right now; try again in a minute', {
    retryAfterSeconds: 60,
  });
}

function cannotBeDone(folder: string): string {
  return (
    'Somebody left by a link while the database was away, and cannot be taken off the list, as after a restored backup ' +
    `that does not know their mail. What is known of it stands in ${folder}. Take off whoever writes to you, and delete its file ` +
    '(.failed) once that is done, which ends this; a week after the last it ends by itself.'
  );
}

function readKept(text: string): Kept | null {
  try {
    return keptSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
