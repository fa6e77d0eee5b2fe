import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes the file under `unfinished`, and it takes its name when it is whole and on disk. When this resolves it survives a
 * power cut. Rejects when the disk does not take it, and leaves nothing behind then: a full disk must not be kept full.
 */
export async function writeDurably(path: string, text: string | Buffer, unfinished: string): Promise<void> {
  try {
    const file = await open(unfinished, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await unlink(unfinished).catch(() => undefined);
    throw error;
  }
  await syncFolder(dirname(path));
}

/** The names in it must survive a power cut, too. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
