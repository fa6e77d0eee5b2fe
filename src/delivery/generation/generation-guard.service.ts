import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import {
  isBehind,
  isSameRun,
  judge,
  placeOf,
  type Fence,
  type LedgerNote,
  type LedgerRow,
  type LedgerToken,
  type Standing,
  type Unsent,
  type Verdict,
} from './generation.js';
import { GenerationQueries } from './generation.queries.js';
import { LedgerNoteFile } from './ledger-note.service.js';
import { MailboxFirst } from './mailbox-first.service.js';
import { WitnessFiles, type LeftWitness } from './witness-files.service.js';
import type { Witness } from './witness.js';

const ALERT = 'ledger:generation';
const NOTE_ALERT = 'ledger:note';
/**
 * What a worker was told last shows at once that a ledger is older, to itself and to whoever is started on its data folder.
 * Where that is lost, this shows it: mails that went within this span before may then go again.
 */
const BUMP_EVERY_MS = 10_000;
/** Claims in between see for themselves that it is the same run of the server and that nobody refuses. */
const LOOK_EVERY_MS = 1_000;

export interface ConfirmedLedger {
  /** False: the ledger was in order and nothing was changed. */
  needed: boolean;
  held: number;
  cancelled: number;
  unknown: number;
}

interface Seen extends Omit<Standing, 'note'> {
  verdict: Verdict;
  note: LedgerNote | null;
  left: LeftWitness[];
  /** What another worker is not sure of, and none has been since. */
  asked: string | null;
}

/**
 * Keeps a copy of the database, or a restored backup of it, from sending what has been sent: the database says which
 * one it is and how far it has come, each data folder what was last seen of it.
 */
@Injectable()
export class GenerationGuard {
  readonly #logger = new Logger(GenerationGuard.name);
  #bumpedAtMs: number | null = null;
  /** False: an alert that the note cannot be written may be open, of an earlier process until the first note. */
  #isNoted = false;
  /** As the last note, for a data folder that is full, read-only or taken away while the process runs. */
  #known: LedgerNote | null = null;
  /** Undefined until the first look: an alert of an earlier process may still be open. */
  #refusing: string | null | undefined;
  /** Null: not judged, or the verdict was no. */
  #fence: { fence: Fence; lookedAtMs: number } | null = null;

  constructor(
    private readonly queries: GenerationQueries,
    private readonly file: LedgerNoteFile,
    private readonly witnesses: WitnessFiles,
    private readonly alerts: AlertsService,
    private readonly mailbox: MailboxFirst,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** To be asked before each run that sends. The reason is for people. `witness`: what this process was told last. */
  async maySend(witness: Witness | null = null): Promise<true | { reason: string }> {
    const judged = await this.judged(witness);
    return 'reason' in judged ? judged : true;
  }

  /**
   * To be asked before each claim, which takes nothing where the fence does not hold: a run lasts for minutes, and the
   * database may fail over or come back from a backup within it. Null: it may not send.
   */
  async fence(witness: Witness | null): Promise<Fence | null> {
    const last = this.#fence;
    if (last !== null && performance.now() - last.lookedAtMs < LOOK_EVERY_MS) return last.fence;
    const judged = await this.judged(witness);
    return 'reason' in judged ? null : judged;
  }

  /** A claim has taken nothing where something was due: the fence may not hold any more. */
  forgetFence(): void {
    this.#fence = null;
  }

  private async judged(witness: Witness | null): Promise<Fence | { reason: string }> {
    const lookedAtMs = performance.now();
    const seen = await this.look(witness);
    const { verdict, row } = seen;
    if (verdict.kind === 'refuse' || verdict.kind === 'unseen') {
      this.#fence = null;
      return this.refuse(seen, verdict);
    }
    if (this.#refusing !== null) await this.alerts.resolve(ALERT);
    this.#refusing = null;
    if (row === null) {
      await this.begin(seen);
      this.#bumpedAtMs = null;
      return this.judged(witness);
    }
    const { lineage, generation } = row;
    const fence = { lineage, generation, counter: await this.advance(row, seen), server: seen.beat.server };
    // Asked with each fence: the owner may confirm in the middle of a run.
    const isRead = await this.mailbox.isRead(row);
    this.#fence = isRead ? { fence, lookedAtMs } : null;
    return isRead ? fence : { reason: 'the bounce mailbox is read first' };
  }

  /**
   * Before a process takes what people send, or a command writes: new rows of a restored backup must not get the numbers of
   * rows that it does not know. `isWorker`: what a folder has not seen says nothing where no worker runs on it. `othersMs`: so
   * long a worker that has seen it may take to say so; then it may be the copy of a disk, and numbers move on there, too.
   */
  async lookAtStart({ isWorker, othersMs }: { isWorker: boolean; othersMs?: number }): Promise<void> {
    const startedMs = performance.now();
    let seen = await this.look();
    while (!isWorker && seen.verdict.kind === 'unseen' && performance.now() - startedMs < (othersMs ?? 0)) {
      await sleep(LOOK_EVERY_MS / 4);
      seen = await this.look();
    }
    const { verdict, row, note, beat, actual } = seen;
    if (verdict.kind === 'refuse' || verdict.kind === 'unseen') {
      const isCertain = verdict.kind === 'refuse' && verdict.shared;
      if (isWorker || isCertain) await this.refuse(seen, verdict);
      else if (verdict.kind === 'unseen' && othersMs !== undefined)
        await this.queries.moveNumbers(placeOf(beat, actual));
    } else if (row === null && note !== null) await this.begin(seen);
  }

  /** The same by other connections, for whoever must not wait for the pool's. It may open the alert, which this one ends. */
  by(queries: GenerationQueries, alerts: AlertsService): GenerationGuard {
    const other = new GenerationGuard(queries, this.file, this.witnesses, alerts, this.mailbox, this.clock);
    other.#known = this.#known;
    this.#refusing = undefined;
    return other;
  }

  /** As `maySend`, for pages and commands: changes nothing. */
  async state(): Promise<{ ok: true } | { ok: false; reason: string }> {
    const { verdict, asked } = await this.look();
    // Whether a folder has seen enough matters only to a worker, which says so in the row.
    const reason = verdict.kind === 'refuse' ? verdict.reason : asked;
    return reason === null ? { ok: true } : { ok: false, reason };
  }

  /** Until when mails wait at the latest as the bounce mailbox is read first; null: they do not. */
  async waitsForMailbox(): Promise<Date | null> {
    const { row } = await this.queries.read();
    return row === null ? null : this.mailbox.waitsUntil(row);
  }

  /** Which ledger this is; null before the first mail. */
  async generation(): Promise<number | null> {
    return (await this.queries.read()).row?.generation ?? null;
  }

  /** When the owner last confirmed, and what was to become of the mails that waited. */
  async lastConfirmed(): Promise<LedgerRow['confirmed']> {
    return (await this.queries.read()).row?.confirmed ?? null;
  }

  /**
   * The owner says that this database is the one to send from. Nothing happens when no worker refuses to: that the folder
   * of whoever says so has not seen the ledger is no refusal, as it may be a container's beside those of the workers.
   */
  async confirm(unsent: Unsent): Promise<ConfirmedLedger> {
    const seen = await this.look();
    const { verdict, row, note, beat, actual, asked } = seen;
    if (verdict.kind !== 'refuse' && asked === null)
      return { needed: false, held: 0, cancelled: 0, unknown: 0 };
    const notes = [row, note, row?.refused ?? null].filter((one) => one !== null);
    const next: LedgerRow = {
      lineage: row?.lineage ?? note?.lineage ?? randomUUID(),
      generation: Math.max(0, ...notes.map(({ generation }) => generation)) + 1,
      counter: Math.max(0, ...notes.map(({ counter }) => counter)) + 1,
      fingerprint: actual,
      refused: null,
      confirmed: { at: this.clock.now().toISOString(), unsent },
      moved: placeOf(beat, actual),
    };
    const { atMs, ...counts } = await this.queries.confirm(next, unsent, async (manager) =>
      this.alerts.resolve(ALERT, manager),
    );
    await this.write(next, seen, atMs);
    return { needed: true, ...counts };
  }

  private async look(witness: Witness | null = null): Promise<Seen> {
    // Before the database is asked: a beat of somebody else in between must not make its row look older than the note.
    const known = this.#known;
    const [file, folder, place, left] = await Promise.all([
      this.file.read(),
      this.file.folder(),
      this.file.place(),
      this.witnesses.left(),
    ]);
    const lefts = left.flatMap((one) => one.witness ?? []);
    const read = await this.queries.read(witness === null ? lefts : [witness, ...lefts]);
    const note = file === 'unreadable' ? file : furthest(file, known, read.row);
    const standing: Standing = { ...read, note, folder, place, kept: this.file.kept };
    const { row, beat } = read;
    const asked = row?.asked !== undefined && !isSameRun(row, beat) ? row.asked : null;
    return { ...standing, left, note: note === 'unreadable' ? null : note, verdict: judge(standing), asked };
  }

  private async refuse(
    seen: Seen,
    verdict: Extract<Verdict, { reason: string }>,
  ): Promise<{ reason: string }> {
    const { reason } = verdict;
    const { row, beat, actual } = seen;
    // Both at each look: another backup may be restored while one is refused.
    const isNews = verdict.kind === 'refuse' && verdict.shared && (row === null || row.refused === null);
    if (isNews) await this.tellOthers(seen, reason);
    const place = placeOf(beat, actual);
    if (isNews || row?.moved !== place) await this.queries.moveNumbers(place);
    // Once: it is asked every two seconds.
    if (this.#refusing !== reason) {
      this.#logger.warn(`Nothing is sent: ${reason}`);
      if (verdict.kind === 'unseen') await this.queries.ask(reason);
      await this.alerts.raise({
        key: ALERT,
        severity: 'critical',
        message: `Nothing is sent: ${reason}. Say what to do with the mails that wait: on the page Sending, or with "wellspring ledger confirm --unsent hold".`,
        facts: { reason },
      });
      this.#refusing = reason;
    }
    return { reason };
  }

  private async tellOthers(seen: Seen, reason: string): Promise<void> {
    const { row, note } = seen;
    const { generation, counter } = note ?? row ?? { generation: 0, counter: 0 };
    const refused = { reason, generation, counter };
    if (row === null) await this.queries.insert({ ...this.firstRow(seen), refused });
    else await this.queries.refuse(refused);
  }

  /** With the row there is a note: the server may be started anew before the first beat, and the folder knows the ledger. */
  private async begin(seen: Seen): Promise<void> {
    const first = this.firstRow(seen);
    await this.queries.insert(first, async (atMs) => {
      this.#known = noteOf(first, seen, atMs);
      // That it cannot be written is said at the first beat.
      await this.file.write(this.#known).catch(() => undefined);
    });
    // The database before this one had the same key to sign with.
    if (seen.note !== null) await this.queries.moveNumbers(placeOf(seen.beat, seen.actual));
  }

  private firstRow({ actual, note }: Seen): LedgerRow {
    // A note of an emptied database must not be ahead of the new one.
    return {
      lineage: randomUUID(),
      generation: (note?.generation ?? 0) + 1,
      counter: 0,
      fingerprint: actual,
      refused: null,
      confirmed: null,
    };
  }

  /** Returns how far the ledger has come. */
  private async advance(row: LedgerRow, seen: Seen): Promise<number> {
    const nowMs = performance.now();
    const beaten = this.#bumpedAtMs !== null && nowMs - this.#bumpedAtMs < BUMP_EVERY_MS;
    // At once on a server that was started anew: others may wait for one who knows it.
    if (beaten && isSameRun(row, seen.beat)) return row.counter;
    const bumped = await this.queries.bump(row);
    if (bumped === null) return row.counter;
    // Before anything is waited for: who looks meanwhile would bump, too, and wait for the disk again.
    this.#bumpedAtMs = nowMs;
    try {
      const isNoted = await this.write({ ...row, counter: bumped.counter }, seen, bumped.atMs);
      if (isNoted) await this.witnesses.clear(seen.left, seen.beat.server);
    } catch (error) {
      // Neither noted, nor the owner told: the next look tries again.
      this.#bumpedAtMs = null;
      throw error;
    }
    this.witnesses.beginAnew();
    return bumped.counter;
  }

  /** False: a full disk does not stop the mails, it weakens the guard: that is for the owner to know. */
  private async write(token: LedgerToken, seen: Seen, atMs: number): Promise<boolean> {
    const note = noteOf(token, seen, atMs);
    this.#known = note;
    try {
      await this.file.write(note);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
      await this.alerts.raise({
        key: NOTE_ALERT,
        severity: 'warning',
        message: 'ledger.json in the data folder cannot be written: a restored backup may not be noticed',
        facts: { code },
      });
      this.#isNoted = false;
      return false;
    }
    if (!this.#isNoted) await this.alerts.resolve(NOTE_ALERT);
    this.#isNoted = true;
    return true;
  }
}

function noteOf(
  { lineage, generation, counter }: LedgerToken,
  { folder, place }: Pick<Seen, 'folder' | 'place'>,
  atMs: number,
): LedgerNote {
  return { lineage, generation, counter, folder, place, atMs };
}

function furthest(
  file: LedgerNote | null,
  known: LedgerNote | null,
  row: LedgerRow | null,
): LedgerNote | null {
  if (known === null || file === null) return known ?? file;
  if (file.lineage !== known.lineage) return known.lineage === row?.lineage ? known : file;
  return isBehind(file, known) ? known : file;
}
