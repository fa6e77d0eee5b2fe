import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The key behind every token: `SECRET_KEY`, else one made once and kept in the data folder, mode 600. Losing it breaks
 * every link in mails already sent, so it belongs in the backup.
 */
export async function secretKey(given: string | null, dataDir: string): Promise<Buffer> {
  if (given !== null) return createHash('sha256').update(given).digest();
  const path = join(dataDir, 'secret.key');
  await mkdir(dataDir, { recursive: true });
  // `wx`: of two processes that start at once, one writes and both read.
  await writeFile(path, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  return createHash('sha256')
    .update((await readFile(path, 'utf8')).trim())
    .digest();
}
