import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { LedgerQueries } from './ledger.queries.js';
import { isRefusedData } from './refused-data.js';
import type { Settlement } from './settlement.js';

const NAME = /^accepted-(\d+)-[0-9a-f-]{36}\.jsonl$/;

/**
 * What relays have accepted while the database was away, on this machine's disk (`DATA_DIR/journal`): a process that is
 * killed before the database is back would else leave those mails unknown. Holds ids and replies, no address.
 */
@Injectable()
export class AcceptedJournal {
  readonly #logger = new Logger(AcceptedJournal.name);
  #file: { handle: FileHandle; path: string } | null = null;

  constructor(
    private readonly queries: LedgerQueries,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Durable when it resolves. A full disk must not stop the mails that are under way: it is logged. */
  async keep(settlements: readonly Settlement[]): Promise<void> {
    const lines = linesOf(settlements.filter(({ state }) => state === 'accepted'));
    if (lines === '') return;
    try {
      this.#file ??= await this.newFile();
      await this.#file.handle.write(lines);
      await this.#file.handle.sync();
    } catch (error) {
      this.#logger.error(
        `the journal cannot be written: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  /** The database has it all. */
  async forget(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.handle.close().catch(() => undefined);
    if (file) await rm(file.path, { force: true });
  }

  /**
   * Writes into the ledger what processes that are gone have left; returns how many entries that were. A file that cannot be
   * read or removed is logged and left; an entry that PostgreSQL will never take is put aside. Neither may keep the reaper
   * from its work. Rejects while the database is away.
   */
  async replay(): Promise<number> {
    let count = 0;
    for (const name of await readdir(this.folder).catch(() => [])) {
      const pid = Number(NAME.exec(name)?.[1]);
      const path = join(this.folder, name);
      if (!pid || path === this.#file?.path || isRunning(pid)) continue;
      const text = await readFile(path, 'utf8').catch((error: unknown) => this.say(name, error));
      if (text === undefined) continue;
      const settlements = settlementsIn(text);
      const refused = await this.refused(settlements);
      count += settlements.length - refused.length;
      try {
        if (refused.length > 0) await writeFile(`${path}.refused`, linesOf(refused), { mode: 0o600 });
        await rm(path, { force: true });
      } catch (error) {
        this.say(name, error);
      }
    }
    return count;
  }

  /** Those that PostgreSQL does not take; the others are written. */
  private async refused(settlements: readonly Settlement[]): Promise<readonly Settlement[]> {
    if (settlements.length === 0) return [];
    try {
      await this.queries.write(settlements, []);
      return [];
    } catch (error) {
      if (!isRefusedData(error)) throw error;
      if (settlements.length > 1) {
        const refused = [];
        for (const one of settlements) refused.push(...(await this.refused([one])));
        return refused;
      }
      this.#logger.error(`message ${settlements[0]?.id}: the ledger refuses its entry`);
      return settlements;
    }
  }

  private say(name: string, error: unknown): void {
    this.#logger.error(`the journal ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }

  private get folder(): string {
    return join(this.config.dataDir, 'journal');
  }

  private async newFile(): Promise<{ handle: FileHandle; path: string }> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const path = join(this.folder, `accepted-${process.pid}-${randomUUID()}.jsonl`);
    return { handle: await open(path, 'a', 0o600), path };
  }
}

function linesOf(settlements: readonly Settlement[]): string {
  return settlements.map((settlement) => `${JSON.stringify(settlement)}\n`).join('');
}

/** The last line may be half: the process was killed in the middle of it, and the mail stays unknown. */
function settlementsIn(text: string): Settlement[] {
  return text.split('\n').flatMap((line) => {
    try {
      const { dueAt: _, acceptedAt, ...rest } = JSON.parse(line) as Settlement & { acceptedAt: string };
      return [{ ...rest, dueAt: null, acceptedAt: new Date(acceptedAt) }];
    } catch {
      return [];
    }
  });
}

/**
 * Another process may have the number by now; then the file waits until that one has ended. Our own number belonged to
 * a predecessor: in a container every start is process 1.
 */
function isRunning(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
