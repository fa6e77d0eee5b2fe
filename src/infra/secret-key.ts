import { createHash, hkdfSync, randomBytes, randomUUID } from 'node:crypto';
import { constants, copyFile, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSetting, type Queries } from './database/settings.js';

/** As of SECRET_KEY. */
const MIN_CHARS = 32;

/**
 * The key behind every token: `SECRET_KEY`, else one made once and kept in the data folder, mode 600. Losing it breaks
 * every link in mails already sent, so it belongs in the backup. Throws when the file holds no key: with an empty or a
 * half one, everybody could make our tokens.
 */
export async function secretKey(given: string | null, dataDir: string): Promise<Buffer> {
  if (given !== null) return createHash('sha256').update(given).digest();
  const path = join(dataDir, 'secret.key');
  await mkdir(dataDir, { recursive: true });
  const key = (await kept(path)) ?? (await made(path));
  if (key.length < MIN_CHARS)
    throw new Error(
      `${path} does not hold a key of at least ${MIN_CHARS} characters. Put it back from the backup. If there is none, remove the file: a new key is made, and links in mails that were sent with the old one stop working.`,
    );
  return createHash('sha256').update(key).digest();
}

/**
 * The key of this installation: tokens hold numbers of rows, which an empty database gives anew. Under the same SECRET_KEY the
 * links, confirmations and return paths of a database that was lost would act on other people. The salt is in the backup
 * with the rows; a database of before it has none, and the key as it is.
 */
export async function installationKey(db: Queries, key: Buffer): Promise<Buffer> {
  const kept = await readSetting<{ salt: string }>(db, 'installation.salt');
  return kept === null ? key : Buffer.from(hkdfSync('sha256', key, kept.salt, 'installation', key.length));
}

async function kept(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return null;
  }
}

/** Under its name only when it is whole and on the disk: of two processes that start at once, one links and both read. */
async function made(path: string): Promise<string> {
  const whole = `${path}.${randomUUID()}`;
  try {
    await writeFile(whole, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx', flush: true });
    // Some network file systems have no links; there, whoever reads a copy that is still being made does not start.
    await link(whole, path)
      .catch(async (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') throw error;
        return copyFile(whole, path, constants.COPYFILE_EXCL);
      })
      .catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
  } finally {
    await rm(whole, { force: true });
  }
  return (await readFile(path, 'utf8')).trim();
}
