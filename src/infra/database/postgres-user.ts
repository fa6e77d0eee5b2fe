import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { DomainError } from '../../values/domain-error.js';

/** The system account PostgreSQL runs under. */
export interface PostgresAccount {
  uid: number;
  gid: number;
}

/** Debian and most others, macOS, and the account that is made where neither is there. */
const KNOWN_ACCOUNTS = ['postgres', '_postgres', 'wellspring-db'];
const NEW_ACCOUNT = 'wellspring-db';
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const TIMEOUT_MS = 30_000;

/**
 * PostgreSQL refuses to run as root. Root therefore runs it under the account that owns the cluster already, else
 * under a system account that exists, else under one made for it.
 *
 * @param clusterOwner who owns the cluster, if there is one
 * @returns undefined for an ordinary user, who runs PostgreSQL under its own account
 * @throws DomainError `POSTGRES_ACCOUNT_MISSING` when the system has no tool to make an account
 */
export function choosePostgresAccount(
  clusterOwner: PostgresAccount | undefined,
  log: (line: string) => void,
): PostgresAccount | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (clusterOwner !== undefined && clusterOwner.uid !== 0) return clusterOwner;
  for (const name of KNOWN_ACCOUNTS) {
    const account = findAccount(name);
    if (account !== undefined) return account;
  }
  log(`PostgreSQL does not run as root: making the system account ${NEW_ACCOUNT} for it`);
  return createAccount();
}

/** True when the account may do with `path` what `tests` say, in the letters of test(1): `r`, `w`, `x`. */
export function accountMay(account: PostgresAccount, tests: string, path: string): boolean {
  // Asked of the kernel under that account: mode bits alone would miss access lists and every folder above.
  const script = tests
    .split('')
    .map((letter) => `[ -${letter} "$1" ]`)
    .join(' && ');
  const { status } = spawnSync('/bin/sh', ['-c', script, 'sh', path], {
    ...account,
    cwd: '/',
    env: { PATH: SYSTEM_PATH },
    timeout: TIMEOUT_MS,
  });
  return status === 0;
}

function findAccount(name: string): PostgresAccount | undefined {
  const [uid, gid] = [run('id', ['-u', name]), run('id', ['-g', name])].map((result) =>
    result.status === 0 ? Number(result.stdout.trim()) : Number.NaN,
  );
  return uid !== undefined && gid !== undefined && uid > 0 && Number.isInteger(gid)
    ? { uid, gid }
    : undefined;
}

function createAccount(): PostgresAccount {
  // shadow (Debian, Fedora, ...) first; Debian's own `adduser` knows no -S, BusyBox (Alpine) has nothing else.
  const tools: [tool: string, args: string[]][] = [
    [
      'useradd',
      ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/bin/false'],
    ],
    ['adduser', ['-S', '-D', '-H', '-h', '/nonexistent', '-s', '/bin/false']],
  ];
  const failures: string[] = [];
  for (const [tool, args] of tools) {
    const result = run(tool, [...args, NEW_ACCOUNT]);
    const account = result.status === 0 ? findAccount(NEW_ACCOUNT) : undefined;
    if (account !== undefined) return account;
    failures.push(`${tool}: ${result.error?.message ?? result.stderr.trim()}`);
  }
  throw new DomainError(
    'POSTGRES_ACCOUNT_MISSING',
    `PostgreSQL does not run as root, and no system account could be made for it (${failures.join('; ')}). ` +
      'Start Wellspring as an ordinary user, make a system account named postgres, or set DATABASE_URL.',
  );
}

function run(tool: string, args: string[]): SpawnSyncReturns<string> {
  return spawnSync(tool, args, {
    encoding: 'utf8',
    env: { PATH: SYSTEM_PATH, LC_ALL: 'C' },
    timeout: TIMEOUT_MS,
  });
}
