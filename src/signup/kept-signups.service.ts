import { join } from 'node:path';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { GenerationGuard } from '../delivery/generation/generation-guard.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { takesNoWrites } from '../infra/database/lost-connection.js';
import { KeptFiles } from '../infra/files/kept-files.js';
import { KeptLeavings } from '../subscribers/kept-leavings.service.js';
import { LeavingsAlerts, SIGNUPS_FAILED, SIGNUPS_WAIT } from '../subscribers/leavings-alerts.service.js';
import { DAY_MS, MINUTE_MS } from '../values/time-units.js';
import { type KeptSignup, nameOfKept, readKeptSignup, writeKeptSignup } from './kept-signup.js';
import { SignupHandIn } from './signup-hand-in.service.js';

/** With the size below 80 MB at most: whoever floods a form must not fill the disk. */
const MOST_FILES = 10_000;
const MOST_BYTES = 8_192;
const LOOK_MS = 1_000;
/** So long after the first try in vain the next one is made, and twice as long after each further one, up to the most. */
const AGAIN_MS = MINUTE_MS;
const MOST_AGAIN_MS = 15 * MINUTE_MS;
/** So long the owner has to put a form back. */
const FORM_GONE_MS = 7 * DAY_MS;
/** So long one that nobody can read stays for the owner: there may be an address in it. */
const FAILED_MS = 7 * DAY_MS;
const NAME = /^[0-9a-f]{64}\.json$/;
const FAILED = /^[0-9a-f]{64}\.json\.failed$/;

interface Found {
  name: string;
  text: string;
  kept: KeptSignup;
}

/**
 * Sign-ups and confirmations that came while the database took none. Each stands in a file of its own in `DATA_DIR/signups`, on disk before the
 * visitor is told that a mail comes, until it is in the database. Any process on that folder hands them in within a second of the
 * database's return, behind the leavings that were kept: whoever left and came back has come back. A restored backup is handed
 * none before the owner's word, as it may not be the one that stays.
 */
@Injectable()
export class KeptSignups implements OnApplicationShutdown {
  readonly #log = new Logger('SignUps');
  readonly #files: KeptFiles;
  /** As the last look has found it, and what came since, with when it was pressed; null: not read yet. */
  readonly #there = new Map<string, number | null>();
  /** Those that could not be done: when each is tried again, and how long it waits for that. */
  readonly #inVain = new Map<string, { againMs: number; waitMs: number }>();
  #complaint = '';
  #reason: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #takingUp: Promise<void> | null = null;
  #isEnding = false;
  #saidKept = false;

  constructor(
    private readonly leavings: KeptLeavings,
    private readonly guard: GenerationGuard,
    private readonly handIn: SignupHandIn,
    private readonly said: LeavingsAlerts,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#files = new KeptFiles(join(config.dataDir, 'signups'));
  }

  /** Once, by a process that serves requests or sends. What an earlier one has left is handed in beside the first requests. */
  async start(): Promise<void> {
    await this.#files.removeUnfinished().catch((error: unknown) => this.complain(error));
    this.#timer = setInterval(() => void this.takeUp(), LOOK_MS);
    this.#timer.unref();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    this.#isEnding = true;
    await this.#takingUp;
  }

  /** On disk when it resolves. False when there is no more room, or the disk does not take it, or may be gone at the next start. */
  async keep(kept: KeptSignup): Promise<boolean> {
    if (!this.config.dataDirKept) return false;
    const name = nameOfKept(this.config.secretKey, kept);
    // One more press takes the place of the one before.
    const isAgain = this.#there.has(name);
    if (this.#there.size >= MOST_FILES && !isAgain) return false;
    const text = writeKeptSignup(kept);
    if (Buffer.byteLength(text) > MOST_BYTES) return false;
    // Before it is there: of those that come at once the last must not find room that the others take.
    this.#there.set(name, kept.at.getTime());
    try {
      await this.#files.put(name, text);
    } catch (error) {
      if (!isAgain) this.#there.delete(name);
      this.complain(error);
      return false;
    }
    // What was pressed anew has not been tried.
    this.#inVain.delete(name);
    // Once for each outage.
    if (!this.#saidKept) this.#log.warn('The database takes no sign-ups: they are kept on disk');
    this.#saidKept = true;
    return true;
  }

  /** How many lie there. Rejects where the folder cannot be read. */
  async waiting(): Promise<number> {
    return (await this.#files.names()).filter((name) => NAME.test(name)).length;
  }

  /** Hands in what lies there, the oldest first, until the database takes no more. Never rejects. */
  async takeUp(): Promise<void> {
    this.#takingUp ??= this.look()
      .catch((error: unknown) => {
        if (!takesNoWrites(error)) this.complain(error);
      })
      .finally(() => {
        this.#takingUp = null;
      });
    await this.#takingUp;
  }

  private async look(): Promise<void> {
    const all = await this.#files.names();
    const names = new Set(all.filter((name) => NAME.test(name)));
    for (const name of names) if (!this.#there.has(name)) this.#there.set(name, null);
    for (const name of this.#there.keys()) if (!names.has(name)) this.forget(name);
    if (this.#inVain.size === 0) this.#reason = null;
    // Not while some lie there that this process has not tried: another one may have told of them.
    if (names.size === 0) await this.tell(null, all);
    await this.endFailed(all);
    const now = this.clock.now().getTime();
    const due = [...names].filter((name) => (this.#inVain.get(name)?.againMs ?? now) <= now);
    if (due.length === 0 || !(await this.guard.state()).ok) return;
    // Anew where a look was under way that had begun while the database was away.
    if (!(await this.leavings.takeUp())) await this.leavings.takeUp();
    for (const name of await this.inOrder(due)) {
      if (this.#isEnding) return;
      const found = await this.read(name);
      if (found !== null) await this.takeUpOne(found);
    }
    this.#saidKept = false;
    this.#complaint = '';
    if (this.#reason !== null) await this.tell(this.#reason, all);
  }

  /** The oldest first. Each is read once for that, and not at each look: there may be thousands, and the first be tried in vain. */
  private async inOrder(names: readonly string[]): Promise<string[]> {
    for (const name of names) if ((this.#there.get(name) ?? null) === null) await this.read(name);
    const read = names.flatMap((name) => {
      const pressedMs = this.#there.get(name) ?? null;
      return pressedMs === null ? [] : [{ name, pressedMs }];
    });
    return read.toSorted((one, other) => one.pressedMs - other.pressedMs).map(({ name }) => name);
  }

  /** Null where there is nothing to do: another process has done it, it is none of ours, or the disk does not give it now. */
  private async read(name: string): Promise<Found | null> {
    try {
      const text = await this.#files.read(name);
      if (text === null) return null;
      const kept = readKeptSignup(text);
      if (kept === null) {
        await this.putAside(name);
        return null;
      }
      this.#there.set(name, kept.at.getTime());
      return { name, text, kept };
    } catch (error) {
      this.inVain(name, wordsOf(error));
      return null;
    }
  }

  private async putAside(name: string): Promise<void> {
    this.#log.error(`${join(this.#files.folder, name)} is no sign-up; it is kept as .failed`);
    // The owner is told of it for a week from now.
    await this.#files.date(name, this.clock.now());
    await this.#files.rename(name, `${name}.failed`);
    this.forget(name);
  }

  private forget(name: string): void {
    this.#there.delete(name);
    this.#inVain.delete(name);
  }

  private async endFailed(names: readonly string[]): Promise<void> {
    let isThere = false;
    for (const name of names.filter((one) => FAILED.test(one))) {
      const writtenAt = await this.#files.writtenAt(name);
      if (writtenAt === null || writtenAt.getTime() > this.clock.now().getTime() - FAILED_MS)
        isThere ||= writtenAt !== null;
      else await this.#files.remove(name);
    }
    await this.say(SIGNUPS_FAILED, isThere ? cannotBeRead(this.#files.folder) : null, names);
  }

  private async takeUpOne(found: Found): Promise<void> {
    const { name } = found;
    try {
      const outcome = await this.handIn.take(found.kept);
      if (outcome === 'done') await this.remove(found);
      else if (outcome === 'no_form') await this.withoutForm(found);
      else this.inVain(name, 'the leaving of their reader, which came before, waits');
    } catch (error) {
      // All others would fail as well.
      if (takesNoWrites(error)) throw error;
      this.inVain(name, wordsOf(error));
    }
  }

  /** What was pressed once more meanwhile is another one. */
  private async remove({ name, text }: Found): Promise<void> {
    if ((await this.#files.read(name)) === text) await this.#files.remove(name);
    this.#inVain.delete(name);
  }

  private async withoutForm(found: Found): Promise<void> {
    const { name, kept } = found;
    const page = kept.kind === 'signup' ? `/p/${kept.slug}` : 'its address';
    if (this.clock.now().getTime() - kept.at.getTime() < FORM_GONE_MS)
      return this.inVain(name, `there is no form at ${page} any more`);
    this.#log.error(`A sign-up of a week ago is given up: there is no form at ${page}`);
    await this.remove(found);
  }

  private inVain(name: string, reason: string): void {
    const before = this.#inVain.get(name);
    // A deadlock and the like is over by the next try: the owner is told of what fails then.
    if (before !== undefined) this.#reason = reason;
    const waitMs = before === undefined ? AGAIN_MS : Math.min(2 * before.waitMs, MOST_AGAIN_MS);
    this.#inVain.set(name, { againMs: this.clock.now().getTime() + waitMs, waitMs });
  }

  private async tell(reason: string | null, names: readonly string[]): Promise<void> {
    this.#reason = reason;
    await this.say(SIGNUPS_WAIT, reason === null ? null : waits(reason, this.#files.folder), names);
  }

  private async say(
    key: typeof SIGNUPS_WAIT | typeof SIGNUPS_FAILED,
    message: string | null,
    names: readonly string[],
  ): Promise<void> {
    const known = this.#files.ownName(names);
    // Of a folder without a name nobody has told anything.
    if (known !== null || message === null) return this.said.say(key, message, known ?? this.#files.folder);
    // The owner is to be told most of all where the disk takes nothing more.
    await this.said.say(key, message, await this.#files.giveName().catch(() => this.#files.folder));
  }

  /** Once for each, as it may be the same at each look. */
  private complain(error: unknown): void {
    const words = wordsOf(error);
    if (words !== this.#complaint) this.#log.error(`Sign-ups on disk: ${words}`);
    this.#complaint = words;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function waits(reason: string, folder: string): string {
  return (
    'Sign-ups that came while the database took none are not in it yet, although it takes them now. Each is tried again after a minute, and then more rarely, every quarter of an hour in the end; ' +
    `for one whose form is gone that goes on for a week, in which a form at its address takes it. They stand in ${folder}. The reason: ${reason}`
  );
}

function cannotBeRead(folder: string): string {
  return (
    'A sign-up that came while the database took none cannot be read, as after a crash of the disk, and is not in the database. What is left of it ' +
    `stands in ${folder} (.failed), for a week from when it was found; then it is deleted. Write to whom you find in it, and delete it, which ends this.`
  );
}
