import { open, rm, stat, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';

/** Whether a file, or the names in a folder, were written through to the disk while `work` ran: what is not, a power cut takes. */
export async function syncedBy(work: () => Promise<unknown>): Promise<(path: string) => Promise<boolean>> {
  const path = join(tmpdir(), `ws-synced-${process.pid}`);
  const any = await open(path, 'w');
  const kind = Object.getPrototypeOf(any) as FileHandle;
  const synced = new Set<number>();
  const spies = (['sync', 'datasync'] as const).map((name) => {
    const real = kind[name];
    return vi.spyOn(kind, name).mockImplementation(async function (this: FileHandle) {
      await real.call(this);
      synced.add((await this.stat()).ino);
    });
  });
  try {
    await work();
  } finally {
    for (const spy of spies) spy.mockRestore();
    await any.close();
    await rm(path);
  }
  return async (one) => synced.has((await stat(one)).ino);
}
