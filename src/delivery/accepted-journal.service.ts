import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { LedgerQueries } from './ledger.queries.js';
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
    const lines = settlements
      .filter(({ state }) => state === 'accepted')
      .map((settlement) => `${JSON.stringify(settlement)}\n`);
    if (lines.length === 0) return;
    try {
      this.#file ??= await this.newFile();
      await this.#file.handle.write(lines.join(''));
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

  /** Writes into the ledger what processes that are gone have left; returns how many entries that were. */
  async replay(): Promise<number> {
    let count = 0;
    for (const name of await readdir(this.folder).catch(() => [])) {
      const pid = Number(NAME.exec(name)?.[1]);
      const path = join(this.folder, name);
      if (!pid || path === this.#file?.path || isRunning(pid)) continue;
      const settlements = settlementsIn(await readFile(path, 'utf8'));
      if (settlements.length > 0) await this.queries.write(settlements, []);
      await rm(path, { force: true });
      count += settlements.length;
    }
    return count;
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
