import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder, writeDurably } from './durable-file.js';

const UNFINISHED = /\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * A folder of small files of what people were told is done, and the database did not take: each is on disk before they are told so,
 * and there until it is in the database. Other processes may use it as well, and take up or remove any of them.
 */
export class KeptFiles {
  constructor(readonly folder: string) {}

  /** On disk when it resolves, in place of one with that name. Rejects when the disk does not take it. */
  async put(name: string, text: string): Promise<void> {
    const made = await mkdir(this.folder, { recursive: true, mode: 0o700 });
    // With the folder's name a power cut would take all that is in it.
    if (made !== undefined) await syncFolder(dirname(made));
    const path = join(this.folder, name);
    await writeDurably(path, text, `${path}.${randomUUID()}`);
  }

  async names(): Promise<string[]> {
    return (await readdir(this.folder).catch(nullIfMissing)) ?? [];
  }

  /** Null where another process has taken it up. */
  async read(name: string): Promise<string | null> {
    return readFile(join(this.folder, name), 'utf8').catch(nullIfMissing);
  }

  async remove(name: string): Promise<void> {
    await unlink(join(this.folder, name)).catch(nullIfMissing);
  }

  async rename(name: string, to: string): Promise<void> {
    await rename(join(this.folder, name), join(this.folder, to)).catch(nullIfMissing);
  }

  /** What a process left behind that ended in the middle of a write: nobody was told that it is kept. */
  async removeUnfinished(): Promise<void> {
    for (const name of (await this.names()).filter((one) => UNFINISHED.test(one))) {
      const found = await stat(join(this.folder, name)).catch(nullIfMissing);
      // Another process may be at it just now.
      if (found !== null && found.mtimeMs < performance.timeOrigin) await this.remove(name);
    }
  }
}

/** Of the file system's own errors alone: a database behind a Unix socket that is away fails with the same code. */
function nullIfMissing(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
  throw error;
}
