import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { MAX_TABLE_BYTES, tooLarge } from './table-files.service.js';

const PIECE_BYTES = 1_048_576;
/** Of the names of folders for files that are being read. */
const FOLDER = 'wellspring-import-';

/**
 * Files between upload and import: in the database, because the process that reads the rows may stand on another machine
 * than the one that took the file. Owns `import_file`.
 */
@Injectable()
export class ImportFiles {
  constructor(private readonly dataSource: DataSource) {}

  /** Replaces what is kept of the import. Not in one transaction: pieces of an upload that broke off are cleaned away. */
  async keep(importId: string, path: string): Promise<void> {
    await this.dataSource.query('delete from import_file where import_id = $1', [importId]);
    let place = 0;
    for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) {
      await this.dataSource.query('insert into import_file (import_id, place, bytes) values ($1, $2, $3)', [
        ...[importId, place, piece],
      ]);
      place += 1;
    }
  }

  /** Calls `use` with the path of a copy that is gone afterwards. */
  async withCopy<T>(importId: string, use: (path: string) => Promise<T>): Promise<T> {
    return inTemporaryFile(async (path) => {
      await pipeline(Readable.from(this.pieces(importId)), createWriteStream(path, { mode: 0o600 }));
      return use(path);
    });
  }

  async forget(manager: EntityManager, importId: string): Promise<void> {
    await manager.query('delete from import_file where import_id = $1', [importId]);
  }

  /** Called by a job, hourly: what processes that were killed since have left behind, a file full of people each. */
  async sweep(before: Date): Promise<void> {
    for (const name of await readdir(tmpdir())) {
      if (!name.startsWith(FOLDER)) continue;
      const folder = join(tmpdir(), name);
      const found = await stat(folder).catch(() => null);
      // One of another user stays theirs.
      if (found !== null && found.mtime < before)
        await rm(folder, { recursive: true }).catch(() => undefined);
    }
  }

  private async *pieces(importId: string): AsyncGenerator<Buffer> {
    for (let place = 0; ; place += 1) {
      const rows: { bytes: Buffer }[] = await this.dataSource.query(
        'select bytes from import_file where import_id = $1 and place = $2',
        [importId, place],
      );
      const [row] = rows;
      if (!row) return;
      yield row.bytes;
    }
  }
}

/** Calls `use` with a path in a folder of its own, which is gone afterwards with all that is in it. */
export async function inTemporaryFile<T>(use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), FOLDER));
  try {
    return await use(join(folder, 'table'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes what comes to `path`. Throws `IMPORT_FILE_TOO_LARGE`. */
export async function receiveFile(body: Readable, path: string): Promise<void> {
  let size = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done): void {
      size += chunk.length;
      if (size <= MAX_TABLE_BYTES) return done(null, chunk);
      done(tooLarge());
    },
  });
  await pipeline(body, bounded, createWriteStream(path, { mode: 0o600 }));
}
