import { randomUUID } from 'node:crypto';
import {
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
  type FileHandle,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../../infra/config.js';
import { syncFolder } from '../../infra/files/durable-file.js';
import { LedgerQueries } from './ledger.queries.js';
import { isRefusedData } from './refused-data.js';
import { withoutWords, type Settlement } from '../replies/settlement.js';

/** Older versions wrote the number of their process into it. */
const NAME = /^accepted-[0-9a-f-]+\.jsonl$/;

interface Journal {
  handle: FileHandle;
  path: string;
}

/**
 * What relays have accepted while the database was away, on this machine's disk (`DATA_DIR/journal`): a process that is
 * killed before the database is back would else leave those mails unknown. Holds ids and replies, no address.
 *
 * Whoever replays a file takes it first, by giving it another name, and asks nobody whether its writer lives: workers that
 * share a folder may be containers that do not see each other's processes, where each is number 1. A writer that lives
 * misses its file at the next entry and writes all of it anew; to replay an entry twice changes nothing.
 */
@Injectable()
export class AcceptedJournal {
  readonly #logger = new Logger(AcceptedJournal.name);
  /** All that the database may not have yet: a new file begins with it. */
  #lines = '';
  #file: Journal | null = null;

  constructor(
    private readonly queries: LedgerQueries,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Durable when it resolves. A full disk must not stop the mails that are under way: it is logged. */
  async keep(settlements: readonly Settlement[]): Promise<void> {
    const lines = linesOf(settlements.filter(({ state }) => state === 'accepted'));
    if (lines === '') return;
    this.#lines += lines;
    try {
      if (this.#file) await write(this.#file, lines);
      // Also when it was taken by another worker, before or after it got these lines.
      while (this.#file === null || !(await isThere(this.#file))) {
        await this.leave();
        this.#file = await this.newFile();
        await write(this.#file, this.#lines);
      }
    } catch (error) {
      // A line may be half in it, as on a full disk, and what came behind it would be read as part of that line.
      await this.leave();
      this.#logger.error(
        `the journal cannot be written: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  /** The database has it all. */
  async forget(): Promise<void> {
    this.#lines = '';
    const file = await this.leave();
    // Left behind it is replayed, which changes nothing.
    if (file) await rm(file.path, { force: true }).catch((error: unknown) => this.say(file.path, error));
  }

  /**
   * Writes into the ledger what processes that are gone have left; returns how many entries that were. A file that cannot be
   * read or removed is logged and left; an entry that PostgreSQL will never take is put aside. Neither may keep the reaper
   * from its work. Rejects while the database is away.
   */
  async replay(): Promise<number> {
    let count = 0;
    for (const entry of await readdir(this.folder, { withFileTypes: true }).catch(() => [])) {
      const { name } = entry;
      if (!entry.isFile() || !NAME.test(name) || join(this.folder, name) === this.#file?.path) continue;
      const path = this.newPath();
      const taken = rename(join(this.folder, name), path).then(async () => readFile(path, 'utf8'));
      const text = await taken.catch((error: unknown) => this.say(name, error));
      if (text === undefined) continue;
      const settlements = settlementsIn(text);
      const refused = await this.refused(settlements);
      count += settlements.length - refused.length;
      try {
        if (refused.length > 0) await writeRefused(path, refused);
        await rm(path, { force: true });
      } catch (error) {
        this.say(name, error);
      }
    }
    return count;
  }

  /** Ends that PostgreSQL will never take, for whoever looks into it. A file that cannot be written is logged. */
  async putAside(settlements: readonly Settlement[]): Promise<void> {
    const path = this.newPath();
    try {
      await mkdir(this.folder, { recursive: true, mode: 0o700 });
      await writeRefused(path, settlements);
    } catch (error) {
      this.say(path, error);
    }
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
      const [one] = settlements;
      const bare = one && withoutWords(one);
      if (bare) return (await this.refused([bare])).length > 0 ? settlements : [];
      this.#logger.error(`message ${one?.id}: the ledger refuses its entry`);
      return settlements;
    }
  }

  private say(name: string, error: unknown): void {
    // Another worker was first.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    this.#logger.error(`the journal ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }

  private get folder(): string {
    return join(this.config.dataDir, 'journal');
  }

  private newPath(): string {
    return join(this.folder, `accepted-${randomUUID()}.jsonl`);
  }

  private async leave(): Promise<Journal | null> {
    const file = this.#file;
    this.#file = null;
    await file?.handle.close().catch(() => undefined);
    return file;
  }

  /** Its name is on disk, and that of the folder: without them a power cut would take what is written into it. */
  private async newFile(): Promise<Journal> {
    const made = await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const path = this.newPath();
    const handle = await open(path, 'a', 0o600);
    // A folder cannot be synced everywhere.
    for (const folder of [this.folder, ...(made === undefined ? [] : [dirname(made)])])
      await syncFolder(folder).catch(() => undefined);
    return { handle, path };
  }
}

async function write({ handle }: Journal, lines: string): Promise<void> {
  await handle.appendFile(lines);
  await handle.sync();
}

async function writeRefused(path: string, settlements: readonly Settlement[]): Promise<void> {
  await writeFile(`${path}.refused`, linesOf(settlements), { mode: 0o600 });
}

async function isThere({ path }: Journal): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
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
