import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { CONFIG, type Config } from '../../infra/config.js';
import { readWitness, type Witness } from './witness.js';

const SUFFIX = '.witness';
/** Written over in place: each is as long as the one before. The longest has about 350 characters. */
const LENGTH = 512;
/** A write costs the process 20 µs, and the ledger has hundreds of groups a second: less than this cannot be told apart. */
const GAP_MS = 20;
/** Who lives begins a file anew with each beat, so one that nobody has written to for so long is of somebody dead. */
const LEFT_AFTER_MS = 3_600_000;

/** What a process was told last, as it stands in the data folder. */
export interface LeftWitness {
  /** Null: none of ours, or a half of one, as a disk that was full leaves them. */
  witness: Witness | null;
  path: string;
  writtenAtMs: number;
}

/**
 * `DATA_DIR/witness`: what each process on this folder was told last by the ledger, for those that are started when it is
 * gone. The counter in `ledger.json` grows every ten seconds; this follows the groups of mails that the ledger writes, at most
 * 20 ms behind. So it is written without waiting for the disk, nor does anything wait for it: a process that is killed leaves
 * all but those last milliseconds, a machine that loses its power all but the last seconds.
 */
@Injectable()
export class WitnessFiles implements OnApplicationShutdown {
  readonly #path: string;
  #file: FileHandle | null = null;
  #next: Witness | null = null;
  #writing: Promise<void> | null = null;
  #server: string | null = null;
  #anew = false;
  /** On a disk that is full or read-only each try would cost, and fail. */
  #broken = false;
  #ended = false;

  constructor(@Inject(CONFIG) private readonly config: Config) {
    this.#path = join(this.folder, `${randomUUID()}${SUFFIX}`);
  }

  /** Returns at once. What is told meanwhile takes the place of what waits. */
  tell(witness: Witness): void {
    this.#next = witness;
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  /**
   * The file may have been removed, as by a process that took us for dead: the next word makes it anew. Returns at once: under
   * load there is always something to write, and who waited for the end of that would wait for the end of all mails.
   */
  beginAnew(): void {
    this.#anew = true;
  }

  /** Until what was told stands in the file, and nothing more was told meanwhile. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** Of all processes that have worked on this folder, the dead among them; nothing where it cannot be read. */
  async left(): Promise<LeftWitness[]> {
    const names = await readdir(this.folder).catch(() => []);
    const read = names
      .filter((name) => name.endsWith(SUFFIX))
      .map(async (name): Promise<LeftWitness[]> => {
        const path = join(this.folder, name);
        try {
          const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
          return [{ witness: readWitness(text), path, writtenAtMs: mtimeMs }];
        } catch {
          return [];
        }
      });
    return (await Promise.all(read)).flat();
  }

  /**
   * To be called once `ledger.json` is ahead of what was `left` when the database was asked: removes what is of another run
   * of the server than `server`, and of processes that are long gone, whether it can be read or not.
   */
  async clear(left: readonly LeftWitness[], server: string): Promise<void> {
    // As the file system counts, which no test and no demo moves.
    const before = performance.timeOrigin + performance.now() - LEFT_AFTER_MS;
    for (const { path, witness, writtenAtMs } of left)
      if ((witness !== null && witness.server !== server) || writtenAtMs < before)
        await rm(path, { force: true }).catch(() => undefined);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.written();
    await this.#close();
    this.#ended = true;
  }

  private get folder(): string {
    return join(this.config.dataDir, 'witness');
  }

  async #write(): Promise<void> {
    for (let witness = this.#next; witness !== null; witness = this.#next) {
      this.#next = null;
      try {
        // What was written under the run before may be removed by whoever has judged this one.
        if (this.#anew || witness.server !== this.#server) await this.#close();
        if (this.#anew) this.#broken = false;
        this.#anew = false;
        if (this.#broken || this.#ended) continue;
        this.#file ??= await this.#open();
        this.#server = witness.server;
        await this.#file.write(JSON.stringify(witness).padEnd(LENGTH), 0);
        await sleep(GAP_MS);
      } catch {
        // The owner hears of such a folder by `ledger.json`, which is in it, too.
        this.#broken = true;
      }
    }
  }

  async #open(): Promise<FileHandle> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    // Not emptied: until the first word is in it, the one before still holds.
    return open(this.#path, constants.O_WRONLY | constants.O_CREAT, 0o600);
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => undefined);
  }
}
