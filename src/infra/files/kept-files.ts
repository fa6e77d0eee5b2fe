import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, unlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder, writeDurably } from './durable-file.js';

/** By its name a folder is known wherever its disk is mounted. Of two that were given at once it is the first. */
const FOLDER = /^[0-9a-f-]{36}\.folder$/;
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

  /** The folder's own name, which lies in there; null when it has none yet. */
  ownName(names: readonly string[]): string | null {
    return names.filter((name) => FOLDER.test(name)).toSorted()[0] ?? null;
  }

  /** Gives the folder a name of its own. */
  async giveName(): Promise<string> {
    const name = `${randomUUID()}.folder`;
    await this.put(name, '');
    return this.ownName(await this.names()) ?? name;
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

  /** When it was written, or what `date` has set since; null where it is gone. */
  async writtenAt(name: string): Promise<Date | null> {
    return (await stat(join(this.folder, name)).catch(nullIfMissing))?.mtime ?? null;
  }

  async date(name: string, at: Date): Promise<void> {
    await utimes(join(this.folder, name), at, at).catch(nullIfMissing);
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
