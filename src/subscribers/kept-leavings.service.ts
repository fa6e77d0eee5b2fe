import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { writeDurably } from '../infra/files/durable-file.js';
import { DomainError } from '../values/domain-error.js';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../values/time-units.js';
import { LeaveService, type Leaving } from './leave.service.js';
import type { LeaveTicket } from './leave-token.js';
import { LEAVINGS_WAIT, LeavingsAlerts } from './leavings-alerts.service.js';

const LOOK_MS = 1_000;
/** A deadlock and the like is over by then. */
const TELL_AFTER_MS = MINUTE_MS;
/** So long the mails of others wait. */
const HOLD_MS = HOUR_MS;
/** So long a look spends on what has to wait: a start and the sending of mails wait for it, and an outage leaves thousands. */
const LOOK_SPENDS_MS = 2_000;
/** So long the owner is told of one that cannot be done. */
const TOLD_MS = 7 * DAY_MS;
/** `again`: it was put aside, and the owner told, before. */
const NAME = /^[0-9a-f]{64}(?:\.again)?\.json$/;
const FAILED = /^[0-9a-f]{64}\.json\.failed$/;
const keptSchema = z.object({
  token: z.string(),
  via: z.enum(['one_click', 'page', 'preferences']),
  at: z.coerce.date(),
});

const GONE_FOR_GOOD =
  '. If that folder is gone for good, make an empty folder in its place, which ends this.';

type Kept = z.output<typeof keptSchema>;
type KeptVia = Kept['via'];

/** Somebody who was told that they are off the list, which the database has not taken yet. */
export interface Leaver extends LeaveTicket {
  at: Date;
}

/**
 * Leavings by link that the database did not take when they came, as while it is away. The mailbox provider has told the
 * person by then that they are off the list, and asks no second time: each stands in a file of its own in
 * `DATA_DIR/leavings`, on disk before the answer goes, until the database has it. Any process on that folder takes them up,
 * at its start, within a second of the database's return, and before it sends again. Put aside as `.failed` are those alone
 * that no database can take: a broken file, a link of another key, a mail that this one does not know.
 */
@Injectable()
export class KeptLeavings implements OnApplicationShutdown {
  readonly #log = new Logger('Leavings');
  readonly #folder: string;
  #timer: NodeJS.Timeout | undefined;
  #takingUp: Promise<boolean> | null = null;
  #saidKept = false;
  /** The last that a look had no time to go beyond: the next begins behind it, or what always waits would keep the others. */
  #stoppedAt = '';
  /** So long some have waited in this process without a break, one or another, while the database answered. */
  #waitedMs = 0;
  /** When these make an hour, as told last: the clock and the counter differ by a little at each look. */
  #ownHoldEndsMs = 0;
  /** By the name of the file, which may be past reading at the next look. */
  #waiting: ReadonlyMap<string, Kept> = new Map();
  /** Kept by this process and not looked at yet. */
  readonly #kept = new Map<string, Kept>();
  /** The folder was gone at the start, and some waited there as the owner was told: until when the mails of others wait. */
  #goneUntil: Date | null = null;
  readonly #listeners = new Set<() => void>();
  /** Of the last look at which some waited and the database answered, by the process's steady counter. */
  #lookedAtMs: number | null = null;

  constructor(
    private readonly leave: LeaveService,
    private readonly dataSource: DataSource,
    private readonly said: LeavingsAlerts,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#folder = join(config.dataDir, 'leavings');
  }

  /** Once, by a process that serves requests or sends, before it does either. */
  async start(): Promise<void> {
    const isThere = await stat(this.#folder).then(
      () => true,
      () => false,
    );
    if (!isThere) this.#goneUntil = await this.said.holdTold(this.#folder).catch(() => null);
    await this.takeUp();
    await this.takeUpFailed();
    this.#timer = setInterval(() => void this.takeUp(), LOOK_MS);
    this.#timer.unref();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    await this.#takingUp;
  }

  /**
   * Only links that we wrote are kept, each once. Throws `LEAVING_UNAVAILABLE` when the disk does not take it, and when the folder may be
   * gone at the next start: it is taken up if it is not, and nobody is told so.
   */
  async keep(token: string, via: KeptVia): Promise<Leaving> {
    if (this.leave.read(token) === null) return { kind: 'not_ours' };
    const name = `${createHash('sha256').update(token).digest('hex')}.json`;
    const path = join(this.#folder, name);
    const kept = { token, via, at: this.clock.now() };
    const text = JSON.stringify(kept);
    try {
      // Made anew in place of one that is gone, it would be a folder in which nobody waits. When the hour of those is over nothing
      // waits for them any more, and whoever leaves next must not be turned away for good.
      if (!this.knowsOfSome() || this.isGoneLong())
        await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeDurably(path, text, `${path}.${randomUUID()}`);
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
    return { kind: 'kept' };
  }

  /** All that lie there; false while some wait, for which nothing should be sent. Never rejects. */
  async takeUp(): Promise<boolean> {
    this.#takingUp ??= this.takeUpAll().finally(() => {
      this.#takingUp = null;
    });
    return this.#takingUp;
  }

  /** Who waited at the last look. */
  waiting(): Leaver[] {
    return [...this.#waiting.values()].flatMap(({ token, at }) => {
      const ticket = this.leave.read(token);
      return ticket === null ? [] : [{ ...ticket, at }];
    });
  }

  /** Calls `tell` at each look that finds somebody waiting who did not at the one before, until what this answers with is called. */
  whenAnotherWaits(tell: () => void): () => void {
    this.#listeners.add(tell);
    return () => this.#listeners.delete(tell);
  }

  private async takeUpAll(): Promise<boolean> {
    const why = new Map<string, unknown>();
    const names = await this.names().catch((error: unknown) => {
      why.set(this.#folder, error);
      return [];
    });
    const waiting = new Map<string, Kept>();
    let spentMs = 0;
    const all = new Set([...names, ...this.#waiting.keys(), ...this.#kept.keys()]);
    for (const name of fromBehind(this.#stoppedAt, [...all])) {
      const path = join(this.#folder, name);
      const fromMs = performance.now();
      let kept = this.#waiting.get(name) ?? this.#kept.get(name) ?? null;
      try {
        const text = await readFile(path, 'utf8').catch(nullIfMissing);
        // Another process did it, or the folder is gone, as a disk that is not mounted: once more does no harm.
        if (text === null) {
          if (kept !== null && spentMs >= LOOK_SPENDS_MS) throw new Error('it waits behind others');
          if (kept !== null) await this.isDone(kept);
          continue;
        }
        kept = readKept(text);
        if (spentMs < LOOK_SPENDS_MS) {
          await this.takeUpOne(path, kept);
          continue;
        }
        // Not tried this time; its reader has left all the same.
        why.set(name, null);
        if (kept !== null) waiting.set(name, kept);
      } catch (error) {
        // It would be the same with each of them, and nothing can be sent.
        if (!(await this.answers())) {
          this.#lookedAtMs = null;
          return false;
        }
        why.set(name, error);
        if (kept !== null) waiting.set(name, kept);
        spentMs += performance.now() - fromMs;
        this.#stoppedAt = name;
      }
    }
    const known = this.#waiting;
    this.#waiting = waiting;
    for (const name of all) this.#kept.delete(name);
    if ([...waiting.keys()].some((name) => !known.has(name))) for (const tell of this.#listeners) tell();
    return this.mayGoOn(why);
  }

  /** Gone while some wait there, as a disk that is not mounted any more, the folder is not an empty one: they have left still. */
  private async names(): Promise<string[]> {
    const names = await readdir(this.#folder).catch(this.knowsOfSome() ? undefined : nullIfMissing);
    if (names !== null) this.#goneUntil = null;
    return names ?? [];
  }

  private knowsOfSome(): boolean {
    return this.#waiting.size + this.#kept.size > 0 || this.#goneUntil !== null;
  }

  /** Two processes may do the same one: leaving twice is leaving once. Rejects when it has to wait. */
  private async takeUpOne(path: string, kept: Kept | null): Promise<void> {
    if (kept !== null && (await this.isDone(kept))) {
      await unlink(path).catch(nullIfMissing);
      return;
    }
    this.#log.error(`${path} cannot be taken up; it is kept as .failed`);
    // The owner is told of it for a week from now; where the time cannot be set, from when it was kept.
    const now = this.clock.now();
    if (!path.endsWith('.again.json')) await utimes(path, now, now).catch(() => undefined);
    await rename(path, path.replace(/(?:\.again)?\.json$/, '.json.failed')).catch(nullIfMissing);
  }

  /** A restored backup may not know the mail: then nobody was taken off. */
  private async isDone({ token, via, at }: Kept): Promise<boolean> {
    return (await this.leave.leaveLate(token, via, at)).kind === 'left';
  }

  /**
   * Once for each start. Earlier builds put aside so what a full disk or a lock kept them from, and a backup may have been
   * replaced by one that knows the mail. What has to wait stands among the others again; the rest stays as it is.
   */
  private async takeUpFailed(): Promise<void> {
    const names = await this.names().catch(() => []);
    let spentMs = 0;
    for (const name of names.filter((one) => FAILED.test(one))) {
      const path = join(this.#folder, name);
      const fromMs = performance.now();
      try {
        const kept = readKept((await readFile(path, 'utf8').catch(nullIfMissing)) ?? '');
        if (kept === null) continue;
        if (spentMs >= LOOK_SPENDS_MS) throw new Error('it waits behind others');
        if (await this.isDone(kept)) await unlink(path).catch(nullIfMissing);
      } catch {
        spentMs += performance.now() - fromMs;
        await rename(path, path.replace(/\.json\.failed$/, '.again.json')).catch(() => undefined);
      }
    }
  }

  private async answers(): Promise<boolean> {
    return this.dataSource.query('select 1').then(
      () => true,
      () => false,
    );
  }

  /**
   * Anything may keep one waiting: a full disk, a standby, a lock, a bug. It is tried again at each look, and mails wait for it,
   * since its reader was told that no more come. Those of others go on an hour after the first of them left, however often
   * processes were started since: what keeps one keeps the next leaver too, and an hour for each could end all mail. Their own
   * never go ({@link waiting}).
   */
  private async mayGoOn(why: ReadonlyMap<string, unknown>): Promise<boolean> {
    const reason = wordsOf(why.values().next().value);
    this.count(why.size > 0);
    if (why.size > 0 && this.#waitedMs === 0) this.#log.error(`Leavings on disk have to wait: ${reason}`);
    if (why.size === 0) this.#saidKept = false;
    const isGone = this.#goneUntil === null ? '' : GONE_FOR_GOOD;
    const message = why.size === 0 ? null : waiting(this.#folder, reason, this.knowsAll(why)) + isGone;
    if (message === null || this.#waitedMs >= TELL_AFTER_MS)
      await this.said.say(LEAVINGS_WAIT, this.#folder, message, { holdUntil: this.holdEnds() });
    await this.tellOfFailed();
    return why.size === 0 || this.hasHeldLong();
  }

  /** A process that has never read them does not know who left. */
  private knowsAll(why: ReadonlyMap<string, unknown>): boolean {
    return [...why.keys()].every((name) => this.#waiting.has(name));
  }

  /** By this process's steady counter, too, as the clock may have been put back since. */
  private hasHeldLong(): boolean {
    const now = this.clock.now();
    const overSince = new Date(now.getTime() - HOLD_MS);
    if (this.isGoneLong()) return true;
    return this.#waitedMs >= HOLD_MS || [...this.#waiting.values()].some(({ at }) => at <= overSince);
  }

  private isGoneLong(): boolean {
    return this.#goneUntil !== null && this.#goneUntil <= this.clock.now();
  }

  /** As it looks now; null when it is over. Said once while it stays the same: each change of it writes to the alert. */
  private holdEnds(): Date | null {
    if (this.hasHeldLong()) return null;
    const ownMs = this.clock.now().getTime() + HOLD_MS - this.#waitedMs;
    if (Math.abs(ownMs - this.#ownHoldEndsMs) > MINUTE_MS) this.#ownHoldEndsMs = ownMs;
    let endsMs = Math.min(this.#ownHoldEndsMs, this.#goneUntil?.getTime() ?? Infinity);
    for (const { at } of this.#waiting.values()) endsMs = Math.min(endsMs, at.getTime() + HOLD_MS);
    return new Date(endsMs);
  }

  private count(someWait: boolean): void {
    const nowMs = performance.now();
    this.#waitedMs = someWait ? this.#waitedMs + nowMs - (this.#lookedAtMs ?? nowMs) : 0;
    this.#lookedAtMs = someWait ? nowMs : null;
  }

  private async tellOfFailed(): Promise<void> {
    const names = await this.names().catch(() => null);
    // Of a folder that cannot be read nobody knows.
    if (names === null) return;
    const times = await Promise.all(
      names
        .filter((name) => FAILED.test(name))
        .map(async (name) => stat(join(this.#folder, name)).catch(() => null)),
    );
    const since = this.clock.now().getTime() - TOLD_MS;
    const isTold = times.some((time) => time !== null && time.mtimeMs > since);
    await this.said.say('leavings:failed', this.#folder, isTold ? cannotBeDone(this.#folder) : null);
  }
}

function unavailable(): DomainError {
  return new DomainError('LEAVING_UNAVAILABLE', 'This cannot be noted right now; try again in a minute', {
    retryAfterSeconds: 60,
  });
}

function waiting(folder: string, reason: string, knowsAll: boolean): string {
  return (
    'Readers who left by a link cannot be taken off the list yet, although the database answers. It is tried again every ' +
    `second. Nothing of a list goes to them, and the mails of all others wait for an hour from when they left. What is known of them stands in ${folder}` +
    `${knowsAll ? '' : ', of which some cannot be read: whoever left there is not known, and gets mails again after that hour'}. ` +
    `The reason: ${reason}`
  );
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

/** Of the file system's own errors alone: a database behind a Unix socket that is away fails with the same code. */
function nullIfMissing(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
  throw error;
}

/** All leavings, round from the one behind `name`. */
function fromBehind(name: string, names: readonly string[]): string[] {
  const sorted = names.filter((one) => NAME.test(one)).toSorted((a, b) => (a < b ? -1 : 1));
  return [...sorted.filter((one) => one > name), ...sorted.filter((one) => one <= name)];
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
