import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../infra/config.js';
import { isBehind, readNote, type LedgerNote } from './generation.js';

const FILE = 'ledger.json';
/** File systems whose inodes stay the same over restarts and moves: ext, xfs, btrfs, tmpfs, zfs, apfs. */
const STEADY_INODES: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x2fc12fc1, 0x1a,
]);

/** `DATA_DIR/ledger.json`: what this process has last seen in the database, outside of the database. */
@Injectable()
export class LedgerNoteFile {
  constructor(@Inject(CONFIG) private readonly config: Config) {}

  async read(): Promise<LedgerNote | null | 'unreadable'> {
    try {
      return readNote(await readFile(this.path, 'utf8')) ?? 'unreadable';
    } catch (error) {
      return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? null : 'unreadable';
    }
  }

  /** On the disk when it returns. Never goes back within a lineage: two processes may share the folder. */
  async write(note: LedgerNote): Promise<void> {
    const known = await this.read();
    if (known !== null && known !== 'unreadable' && known.lineage === note.lineage && !isBehind(known, note))
      return;
    await mkdir(this.config.dataDir, { recursive: true });
    const temporary = join(this.config.dataDir, `.${FILE}.${randomUUID()}`);
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(`${JSON.stringify(note)}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    const folder = await open(this.config.dataDir, 'r');
    // A folder cannot be synced everywhere; where it can, the rename is on the disk as well.
    await folder.sync().catch(() => undefined);
    await folder.close();
  }

  /** Tells a data folder from its copy, when the database's own files are in it; else null. */
  async folder(): Promise<string | null> {
    try {
      const cluster = join(this.config.dataDir, 'postgres');
      // Fourth line: the port. The folder may hold a cluster that DATABASE_URL has left behind.
      const port = (await readFile(join(cluster, 'postmaster.pid'), 'utf8')).split('\n')[3]?.trim();
      const { hostname, port: used } = new URL(this.config.databaseUrl);
      if (port !== used || !['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) return null;
      return await inodeOf(cluster);
    } catch {
      return null;
    }
  }

  /** Tells a data folder from one that was copied or restored file by file; null where inodes do not stay. */
  async place(): Promise<string | null> {
    return inodeOf(this.config.dataDir).catch(() => null);
  }

  /** Whether the folder is the same at the next start, as the owner says. */
  get kept(): boolean {
    return this.config.dataDirKept;
  }

  private get path(): string {
    return join(this.config.dataDir, FILE);
  }
}

async function inodeOf(folder: string): Promise<string | null> {
  const [{ ino }, { type }] = [await stat(folder, { bigint: true }), await statfs(folder)];
  return STEADY_INODES.has(type) ? String(ino) : null;
}
