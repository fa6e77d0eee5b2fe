import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { judge, type LedgerNote, type LedgerRow, type Unsent, type Verdict } from './generation.js';
import { GenerationQueries } from './generation.queries.js';
import { LedgerNoteFile } from './ledger-note.service.js';

const ALERT = 'ledger:generation';
const NOTE_ALERT = 'ledger:note';
/** A backup made and restored within this span is not noticed unless a worker has started in between. */
const BUMP_EVERY_MS = 60_000;

export interface ConfirmedLedger {
  /** False: the ledger was in order and nothing was changed. */
  needed: boolean;
  held: number;
  cancelled: number;
  unknown: number;
}

type Seen = Awaited<ReturnType<GenerationGuard['look']>>;

/**
 * Keeps a copy of the database, or a restored backup of it, from sending what has been sent: the database says which
 * one it is and how far it has come, each data folder what was last seen of it.
 */
@Injectable()
export class GenerationGuard {
  #bumpedAtMs: number | null = null;
  /** Undefined until the first look: an alert of an earlier process may still be open. */
  #refusing: string | null | undefined;

  constructor(
    private readonly queries: GenerationQueries,
    private readonly file: LedgerNoteFile,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** To be asked before each run that sends. The reason is for people. */
  async maySend(): Promise<true | { reason: string }> {
    const seen = await this.look();
    const { verdict, row } = seen;
    if (verdict.kind === 'refuse') return this.refuse(seen, verdict);
    if (this.#refusing !== null) await this.alerts.resolve(ALERT);
    this.#refusing = null;
    if (row === null) {
      await this.queries.insert(this.firstRow(seen));
      this.#bumpedAtMs = null;
      return this.maySend();
    }
    await this.advance(row, seen.folder);
    return true;
  }

  /** As `maySend`, for pages and commands: changes nothing. */
  async state(): Promise<{ ok: true } | { ok: false; reason: string }> {
    const { verdict } = await this.look();
    return verdict.kind === 'refuse' ? { ok: false, reason: verdict.reason } : { ok: true };
  }

  /** When the owner last confirmed, and what was to become of the mails that waited. */
  async lastConfirmed(): Promise<LedgerRow['confirmed']> {
    return (await this.queries.read()).row?.confirmed ?? null;
  }

  /** The owner says that this database is the one to send from. Nothing happens when no worker refuses to. */
  async confirm(unsent: Unsent): Promise<ConfirmedLedger> {
    const { verdict, row, note, actual, folder } = await this.look();
    if (verdict.kind !== 'refuse') return { needed: false, held: 0, cancelled: 0, unknown: 0 };
    const notes = [row, note, row?.refused ?? null].filter((one) => one !== null);
    const next: LedgerRow = {
      lineage: row?.lineage ?? note?.lineage ?? randomUUID(),
      generation: Math.max(0, ...notes.map(({ generation }) => generation)) + 1,
      counter: Math.max(0, ...notes.map(({ counter }) => counter)) + 1,
      fingerprint: actual,
      refused: null,
      confirmed: { at: this.clock.now().toISOString(), unsent },
    };
    const counts = await this.queries.confirm(next, unsent, async (manager) =>
      this.alerts.resolve(ALERT, manager),
    );
    await this.write({ ...next, folder });
    return { needed: true, ...counts };
  }

  private async look(): Promise<{
    verdict: Verdict;
    row: LedgerRow | null;
    note: LedgerNote | null;
    actual: LedgerRow['fingerprint'];
    folder: string | null;
  }> {
    const [{ row, actual, hasMessages }, note, folder] = await Promise.all([
      this.queries.read(),
      this.file.read(),
      this.file.folder(),
    ]);
    const verdict = judge({ row, note, actual, hasMessages, folder });
    return { verdict, row, note: note === 'unreadable' ? null : note, actual, folder };
  }

  private async refuse(
    seen: Seen,
    { reason, shared }: Extract<Verdict, { kind: 'refuse' }>,
  ): Promise<{ reason: string }> {
    if (this.#refusing !== reason) {
      if (shared) await this.tellOthers(seen, reason);
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
    else if (row.refused === null) await this.queries.refuse(refused);
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

  private async advance(row: LedgerRow, folder: string | null): Promise<void> {
    const nowMs = performance.now();
    if (this.#bumpedAtMs !== null && nowMs - this.#bumpedAtMs < BUMP_EVERY_MS) return;
    const counter = await this.queries.bump(row);
    if (counter === null) return;
    await this.write({ ...row, counter, folder });
    this.#bumpedAtMs = nowMs;
  }

  /** A full disk does not stop the mails, it weakens the guard: that is for the owner to know. */
  private async write({ lineage, generation, counter, folder }: LedgerNote): Promise<void> {
    try {
      await this.file.write({ lineage, generation, counter, folder });
      if (this.#bumpedAtMs === null) await this.alerts.resolve(NOTE_ALERT);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
      await this.alerts.raise({
        key: NOTE_ALERT,
        severity: 'warning',
        message: 'ledger.json in the data folder cannot be written: a restored backup may not be noticed',
        facts: { code },
      });
    }
  }
}
