import { mkdir, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { writeDurably } from '../infra/files/durable-file.js';
import { type HitBatch, readHitBatch } from './hit-batch.js';

/** Some 1,500,000 hits. An outage that fills it has other trouble than statistics. */
const MOST_BYTES = 128 * 1024 * 1024;
/** Some 100,000 hits: what waits for a moment only is not read back. */
const MOST_REMEMBERED_BYTES = 8 * 1024 * 1024;
const NAME = /^hits-\d{15}-\d{6}-[0-9a-f-]{36}\.json$/;

const UNFINISHED = '.new';

interface SpooledFile {
  name: string;
  /** When its first hit came in, as an epoch. */
  sinceMs: number;
  bytes: number;
  /**
   * What is in it, null when it has to be read. As bytes outside the heap: the hits themselves, a hundred thousand small
   * objects, had the collector hold up all answers of a rush for 20 to 50 ms at a time.
   */
  text: Buffer | null;
}

/**
 * Hits on disk while they cannot be stored, or shall not be for a moment: one file for each batch, synced before it takes its name, never changed
 * afterwards. Any process may take up any file, also after a restart; the batch's id makes that harmless.
 */
@Injectable()
export class HitSpool {
  readonly #log = new Logger('Tracking');
  readonly #folder: string;
  #files: SpooledFile[] = [];
  #bytes = 0;
  #rememberedBytes = 0;
  #written = 0;

  constructor(@Inject(CONFIG) config: Config) {
    this.#folder = join(config.dataDir, 'spool');
  }

  get files(): number {
    return this.#files.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** When the first of the hits came in, as an epoch; infinite without a file. */
  get sinceMs(): number {
    return this.#files.reduce((first, { sinceMs }) => Math.min(first, sinceMs), Infinity);
  }

  /** More than half of its room is taken. */
  get crowded(): boolean {
    return this.#bytes > MOST_BYTES / 2;
  }

  /** Finds what an earlier run, or another process on this folder, has left. */
  async look(): Promise<void> {
    let found: string[] = [];
    try {
      await this.#finishWrites();
      found = (await readdir(this.#folder)).filter((name) => NAME.test(name)).toSorted();
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    this.#files = await Promise.all(
      found.map(async (name) => ({
        ...{ name, sinceMs: sinceMsOf(name), text: null },
        bytes: await sizeOf(join(this.#folder, name)),
      })),
    );
    this.#bytes = this.#files.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#rememberedBytes = 0;
  }

  /** On disk when it resolves. False when there is no more room; rejects when the disk does not take it. */
  async put(batch: HitBatch): Promise<boolean> {
    const text = Buffer.from(JSON.stringify(batch));
    const bytes = text.length;
    if (this.#bytes + bytes > MOST_BYTES) return false;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const name = this.#nameOf(batch);
    const path = join(this.#folder, name);
    await writeDurably(path, text, path + UNFINISHED);
    const remember = this.#rememberedBytes + bytes <= MOST_REMEMBERED_BYTES;
    if (remember) this.#rememberedBytes += bytes;
    this.#files.push({ name, sinceMs: sinceMsOf(name), bytes, text: remember ? text : null });
    this.#bytes += bytes;
    return true;
  }

  /**
   * The batch that has waited longest, or null. A file that is none of ours is put aside as `.bad`; one that cannot be
   * read is left for the next start: the hits behind it do not wait.
   */
  async oldest(): Promise<HitBatch | null> {
    for (let file = this.#files[0]; file !== undefined; file = this.#files[0]) {
      if (file.text) return JSON.parse(file.text.toString()) as HitBatch;
      const path = join(this.#folder, file.name);
      const text = await readFile(path, 'utf8').catch((error: unknown) => {
        this.#complain(`${path} cannot be read; it is left for the next start`, error);
        return null;
      });
      const batch = text === null ? null : readHitBatch(text);
      if (batch) return batch;
      if (text !== null) {
        this.#log.error(`${path} holds no hits; it is kept as ${file.name}.bad`);
        await rename(path, `${path}.bad`).catch((error: unknown) => {
          this.#complain(`${path} cannot be renamed`, error);
        });
      }
      this.#forgetOldest();
    }
    return null;
  }

  /** Removes the one `oldest` gave: it is stored. One that stays there all the same is not stored again at the next start. */
  async removeOldest(): Promise<void> {
    const file = this.#files[0];
    if (file === undefined) return;
    const path = join(this.#folder, file.name);
    await unlink(path).catch((error: unknown) => {
      this.#complain(`${path} is stored, and cannot be removed`, error);
    });
    this.#forgetOldest();
  }

  /** What a process that ended in the middle of a write has left: a whole batch gets its name, half of one is removed. */
  async #finishWrites(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (!name.endsWith(UNFINISHED) || !NAME.test(name.slice(0, -UNFINISHED.length))) continue;
      const path = join(this.#folder, name);
      try {
        const { mtimeMs } = await stat(path);
        // Another process on this folder may be at it; one that was left behind is older than this process.
        if (mtimeMs > performance.timeOrigin) continue;
        if (readHitBatch(await readFile(path, 'utf8')) === null) await unlink(path);
        else await rename(path, path.slice(0, -UNFINISHED.length));
      } catch (error) {
        this.#complain(`${path} cannot be finished`, error);
      }
    }
  }

  /** Names sort by the time of the hits; the number keeps the order within a millisecond. */
  #nameOf({ id, hits }: HitBatch): string {
    const time = String(hits[0]?.atMs ?? 0).padStart(15, '0');
    const place = String(this.#written++ % 1_000_000).padStart(6, '0');
    return `hits-${time}-${place}-${id}.json`;
  }

  /** Another process may have taken the file up. */
  #complain(what: string, error: unknown): void {
    if (!isMissing(error))
      this.#log.error(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }

  #forgetOldest(): void {
    const file = this.#files.shift();
    this.#bytes -= file?.bytes ?? 0;
    this.#rememberedBytes -= file?.text?.length ?? 0;
  }
}

function sinceMsOf(name: string): number {
  return Number(name.slice('hits-'.length).split('-', 1)[0]);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

/** 0 for a file that another process has taken. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}
