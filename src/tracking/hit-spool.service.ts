import { mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { type HitBatch, readHitBatch } from './hit-batch.js';

/** Some 300,000 hits. An outage that fills it has other trouble than statistics. */
const MOST_BYTES = 128 * 1024 * 1024;
const NAME = /^hits-\d{15}-\d{6}-[0-9a-f-]{36}\.json$/;

/**
 * Hits on disk while they cannot be stored: one file for each batch, synced before it takes its name, never changed
 * afterwards. Any process may take up any file, also after a restart; the batch's id makes that harmless.
 */
@Injectable()
export class HitSpool {
  readonly #log = new Logger('Tracking');
  readonly #folder: string;
  #names: string[] = [];
  #bytes = 0;
  #written = 0;

  constructor(@Inject(CONFIG) config: Config) {
    this.#folder = join(config.dataDir, 'spool');
  }

  get files(): number {
    return this.#names.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Finds what an earlier run, or another process on this folder, has left. */
  async look(): Promise<void> {
    let found: string[] = [];
    try {
      found = (await readdir(this.#folder)).filter((name) => NAME.test(name)).toSorted();
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    const sizes = await Promise.all(found.map(async (name) => sizeOf(join(this.#folder, name))));
    this.#names = found;
    this.#bytes = sizes.reduce((sum, size) => sum + size, 0);
  }

  /** On disk when it resolves. False when there is no more room; rejects when the disk does not take it. */
  async put(batch: HitBatch): Promise<boolean> {
    const text = JSON.stringify(batch);
    const size = Buffer.byteLength(text);
    if (this.#bytes + size > MOST_BYTES) return false;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const name = this.#nameOf(batch);
    const path = join(this.#folder, name);
    const file = await open(`${path}.new`, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
    await syncFolder(this.#folder);
    this.#names.push(name);
    this.#bytes += size;
    return true;
  }

  /** The batch that has waited longest, or null. A file that is none of ours is put aside as `.bad`. */
  async oldest(): Promise<HitBatch | null> {
    for (let name = this.#names[0]; name !== undefined; name = this.#names[0]) {
      const path = join(this.#folder, name);
      const text = await readFile(path, 'utf8').catch((error: unknown) => {
        if (isMissing(error)) return null;
        throw error;
      });
      const batch = text === null ? null : readHitBatch(text);
      if (batch) return batch;
      if (text !== null) {
        this.#log.error(`${path} holds no hits; it is kept as ${name}.bad`);
        await rename(path, `${path}.bad`);
      }
      this.#forget(text?.length ?? 0);
    }
    return null;
  }

  /** Removes the one `oldest` gave: it is stored. */
  async removeOldest(): Promise<void> {
    const name = this.#names[0];
    if (name === undefined) return;
    const path = join(this.#folder, name);
    const size = await sizeOf(path);
    await unlink(path).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
    this.#forget(size);
  }

  /** Names sort by the time of the hits; the number keeps the order within a millisecond. */
  #nameOf({ id, hits }: HitBatch): string {
    const time = String(hits[0]?.atMs ?? 0).padStart(15, '0');
    const place = String(this.#written++ % 1_000_000).padStart(6, '0');
    return `hits-${time}-${place}-${id}.json`;
  }

  #forget(size: number): void {
    this.#names.shift();
    this.#bytes = this.#names.length === 0 ? 0 : Math.max(0, this.#bytes - size);
  }
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

/** The name itself must survive a power cut too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
